"""What a picture's URL may look like, before DNS is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.addresses import is_reachable
from shared.fetch.urls import MAX_URL_LENGTH, parse_picture_url

INVALID = ItemCode.INVALID_URL
BLOCKED = ItemCode.IMAGE_BLOCKED_ADDRESS


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1.1/", INVALID),
        ("http://1.2.3.999/", INVALID),
        ("http://example.256/", INVALID),
        ("http://[fe80::1%25eth0]/", INVALID),
        ("http://[fe80::1%eth0]/", INVALID),
        ("http://[::1/", INVALID),
        ("http://[v1.fe80]/", INVALID),
        ("http://[127.0.0.1]/", INVALID),
        ("http://[::ffff:2130706433]/", INVALID),
        ("http://shop.example[::1]/", INVALID),
        ("http://[2606:4700::1111]shop.example/", INVALID),
        ("http://[2606:4700::1111].shop.example:8080/", INVALID),
        ("http://[::1]:80:80/", INVALID),
        ("http://127.0.0.1../", INVALID),
        ("http://127.0.0.1%2f.shop.example/", INVALID),
        ("http://١٢٧.٠.٠.١/", INVALID),
        ("http://shop.example:８０/", INVALID),
        ("http://shop.example:+80/", INVALID),
        ("http://shop.example:8_0/", INVALID),
        ("http://xn--/", INVALID),
        ("http://shop.example/\ud800", INVALID),
        ("https://good@127.0.0.1/", INVALID),
        ("https://good:secret@shop.example/", INVALID),
        ("file:///etc/passwd", INVALID),
        ("gopher://shop.example/1", INVALID),
        ("ftp://shop.example/a.jpg", INVALID),
        ("data:image/png;base64,iVBORw0KGgo=", INVALID),
        ("javascript:alert(1)", INVALID),
        ("//shop.example/a.jpg", INVALID),
        ("a.jpg", INVALID),
        ("", INVALID),
        ("http://", INVALID),
        ("http://:80/", INVALID),
        ("http://shop.example:99999/", INVALID),
        ("http://shop.example:x/", INVALID),
        ("http://shop.example:-1/", INVALID),
        ("http://shop.example:0/", BLOCKED),
        ("http://shop.example:22/", BLOCKED),
        ("http://127.0.0.1:22/", BLOCKED),
        ("http://shop.example:25/", BLOCKED),
        ("http://shop.example:6379/", BLOCKED),
        ("http://shop.example:6333/", BLOCKED),
        ("http://shop.example/a\r\nHost: other", INVALID),
        ("http://shop.example/a\nb", INVALID),
        ("http://shop.example/a\tb", INVALID),
        ("http://shop.example/a\rb", INVALID),
        ("http://shop.example/\x85", INVALID),
        ("http://shop .example/a", INVALID),
        ("http://shop.example\xa0/a", INVALID),
        ("http://shop.example/\x00", INVALID),
        ("http://-shop.example/", INVALID),
        ("http://shop..example/", INVALID),
        ("http://a,b.example/", INVALID),
        ("http://" + "a" * 64 + ".example/", INVALID),
        ("http://" + "a." * 127 + "example/", INVALID),
        ("http://\ufffd.example/", INVALID),
        ("http://shop.example/" + "a" * 10_000, INVALID),
    ],
)
def test_a_bad_url_is_refused_without_asking_dns(url: str, code: ItemCode) -> None:
    with pytest.raises(ItemPermanent) as refused:
        parse_picture_url(url)
    assert refused.value.code == code
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0X7F.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://0x/",
        "http://４２/",
        "http://127%2e0%2e0%2e1/",
        "http://%31%32%37.0.0.1/",
        "http:127.0.0.1/",
        "http:/\\127.0.0.1/",
        "http:///127.0.0.1/",
        "http://127.0.0.1\\@shop.example/",
        "http://①②⑦.⓪.⓪.①/",
        "http://１２７.０.０.１/",
        "http://127。0。0。1/",
        "http://127.0.0.1./",
        "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
        "http://[::1]/",
        "http://[::1]:8080/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:7f00:1::]/",
        "http://[fec0::1]/",
        "http://[fd00:ec2::254]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://224.0.0.1/",
        "http://10.0.0.1/",
    ],
)
def test_an_address_in_a_url_is_seen_and_not_reachable(url: str) -> None:
    address = parse_picture_url(url).address
    assert address is not None
    assert not is_reachable(address, ())


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://shop.example", "http://shop.example/"),
        ("HTTP://Shop.Example/A.jpg", "http://shop.example/A.jpg"),
        ("http://shop.example:80/a?b=c#d", "http://shop.example/a?b=c"),
        ("https://shop.example:443/?q", "https://shop.example/?q"),
        ("https://shop.example:8443/a", "https://shop.example:8443/a"),
        ("http://shop.example:3000?x=1", "http://shop.example:3000/?x=1"),
        ("https://shop.example./a", "https://shop.example/a"),
        ("https://bücher.example/ü.jpg", "https://xn--bcher-kva.example/%C3%BC.jpg"),
        ("http://my_bucket.store.example/a", "http://my_bucket.store.example/a"),
        ("http://93.184.216.34/a", "http://93.184.216.34/a"),
        ("http://[2606:4700:0::1111]:8080/a", "http://[2606:4700::1111]:8080/a"),
        ("http://localhost:8000/a", "http://localhost:8000/a"),
        ("http://shop.example//b/../c;d", "http://shop.example//c;d"),
        ("http://shop.example/a%7eb?x=%2f[1]", "http://shop.example/a%7eb?x=%2f[1]"),
        ("http://shop.example/a%2fb.jpg?s=%2B+%3d", "http://shop.example/a%2fb.jpg?s=%2B+%3d"),
        ("http://shop.example/red%20shirt-100%.jpg", "http://shop.example/red%20shirt-100%.jpg"),
        ("http://shop.example/%zz%", "http://shop.example/%zz%"),
        ("http://shop.example/a b?c d", "http://shop.example/a%20b?c%20d"),
        (" \t\r\nhttp://shop.example/a.jpg \n", "http://shop.example/a.jpg"),
        ("http://shop.example/a.jpg\r\n", "http://shop.example/a.jpg"),
        (
            "http://shop.example/\"<a>`{}^'?\"<a>`{}^'",
            "http://shop.example/%22%3Ca%3E%60%7B%7D%5E'?%22%3Ca%3E`{}^%27",
        ),
        ("http://shop.example/a|b[c]~!$&()*+,;=:@", "http://shop.example/a|b[c]~!$&()*+,;=:@"),
        ("http://shop.example/ü é?ü", "http://shop.example/%C3%BC%20%C3%A9?%C3%BC"),
        ("http://shop.example/e\u0301\xa0\u2028", "http://shop.example/e%CC%81%C2%A0%E2%80%A8"),
        ("http://shop.example/\U0001f455.jpg", "http://shop.example/%F0%9F%91%95.jpg"),
        ("http://shop.example/a\\b\\..\\c?d\\e", "http://shop.example/a/c?d\\e"),
        ("http://shop.example\\img\\a.jpg?b\\c", "http://shop.example/img/a.jpg?b\\c"),
        ("http://127.0.0.1\\.shop.example/", "http://127.0.0.1/.shop.example/"),
        ("http://shop.example/a/./b/%2e/c/%2E%2e/d", "http://shop.example/a/b/d"),
        ("http://shop.example/a/.%2e/../..", "http://shop.example/"),
        ("http://shop.example/a/b/..", "http://shop.example/a/"),
        ("http://shop.example/a/.", "http://shop.example/a/"),
        ("http://shop.example/a/%2e", "http://shop.example/a/"),
        ("http://shop.example/.../..a/%2e%2ea", "http://shop.example/.../..a/%2e%2ea"),
        ("http://shop.example/a?../b#c", "http://shop.example/a?../b"),
        ("http://shop.example/a?b?c%23", "http://shop.example/a?b?c%23"),
        ("http://shop.example/a.jpg?", "http://shop.example/a.jpg?"),
        ("http://shop.example?#a", "http://shop.example/?"),
        ("http:shop.example/a.jpg", "http://shop.example/a.jpg"),
        ("https:/shop.example/a.jpg", "https://shop.example/a.jpg"),
        ("https:///shop.example/a.jpg", "https://shop.example/a.jpg"),
        ("hTTp:\\\\Shop.Example\\a.jpg", "http://shop.example/a.jpg"),
        ("http://shop.example\\@cdn.example/a", "http://shop.example/@cdn.example/a"),
        ("http://shop.example/@a:b@c.jpg", "http://shop.example/@a:b@c.jpg"),
        ("https://@shop.example/a", "https://shop.example/a"),
        ("https://:@shop.example/a", "https://shop.example/a"),
        ("http://shop%2Eexample/a", "http://shop.example/a"),
        ("http://shop.example:0080/a", "http://shop.example/a"),
        ("http://shop.example:/a", "http://shop.example/a"),
        ("http://faß.example/a", "http://xn--fa-hia.example/a"),
        ("http://BÜCHER。example/a", "http://xn--bcher-kva.example/a"),
        ("http://sho\u00adp.example/a", "http://shop.example/a"),
        ("http://shop.example/a\xa0", "http://shop.example/a%C2%A0"),
    ],
)
def test_a_good_url_is_brought_into_one_form(url: str, normal: str) -> None:
    assert str(parse_picture_url(url)) == normal


def test_the_longest_allowed_url_passes() -> None:
    url = "http://shop.example/"
    assert parse_picture_url(url + "a" * (MAX_URL_LENGTH - len(url)))


@pytest.mark.parametrize(
    ("location", "normal"),
    [
        ("/b.jpg", "https://shop.example:8443/b.jpg"),
        ("b.jpg", "https://shop.example:8443/a/b.jpg"),
        ("?size=2", "https://shop.example:8443/a/x.jpg?size=2"),
        ("//cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("http://cdn.example/b c.jpg", "http://cdn.example/b%20c.jpg"),
        (" /b.jpg\t", "https://shop.example:8443/b.jpg"),
        ("\\\\cdn.example\\b.jpg", "https://cdn.example/b.jpg"),
        ("/b%2fc.jpg?s=%3d", "https://shop.example:8443/b%2fc.jpg?s=%3d"),
        ("../%2E%2E/b.jpg", "https://shop.example:8443/b.jpg"),
        ("/ü.jpg", "https://shop.example:8443/%C3%BC.jpg"),
        ("100x100/https://cdn/b.jpg", "https://shop.example:8443/a/100x100/https://cdn/b.jpg"),
        ("/a//b.jpg", "https://shop.example:8443/a//b.jpg"),
        ("b//c.jpg?d=//e", "https://shop.example:8443/a/b//c.jpg?d=//e"),
        ("#top", "https://shop.example:8443/a/x.jpg?s=1"),
        ("", "https://shop.example:8443/a/x.jpg?s=1"),
        ("https:b.jpg", "https://shop.example:8443/a/b.jpg"),
        ("HTTPS:/b.jpg", "https://shop.example:8443/b.jpg"),
        ("https:?s=2", "https://shop.example:8443/a/x.jpg?s=2"),
        ("https:", "https://shop.example:8443/a/x.jpg?s=1"),
        ("https:///cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("http:cdn.example/b.jpg", "http://cdn.example/b.jpg"),
        ("http:/cdn.example/b.jpg", "http://cdn.example/b.jpg"),
        ("///cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("/\\cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("b.jpg?", "https://shop.example:8443/a/b.jpg?"),
        ("?", "https://shop.example:8443/a/x.jpg?"),
        ("./b.jpg", "https://shop.example:8443/a/b.jpg"),
        (".", "https://shop.example:8443/a/"),
        ("..\\b.jpg", "https://shop.example:8443/b.jpg"),
        ("b c.jpg", "https://shop.example:8443/a/b%20c.jpg"),
        ("/b\t.jpg", "https://shop.example:8443/b.jpg"),
        ("//CDN.example:443/b.jpg#top", "https://cdn.example/b.jpg"),
        ("//bücher.example/b.jpg", "https://xn--bcher-kva.example/b.jpg"),
        (";b=1", "https://shop.example:8443/a/;b=1"),
        ("./b:1.jpg", "https://shop.example:8443/a/b:1.jpg"),
    ],
)
def test_a_redirect_is_resolved_against_its_page(location: str, normal: str) -> None:
    page = parse_picture_url("https://shop.example:8443/a/x.jpg?s=1")
    assert str(page.follow(location)) == normal


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", INVALID),
        ("gopher://shop.example/", INVALID),
        ("https://user:secret@shop.example/", INVALID),
        ("http://[::1/", INVALID),
        ("http://shop.example:22/", BLOCKED),
        ("/" + "a" * 3_000, INVALID),
    ],
)
def test_a_redirect_is_checked_like_any_url(location: str, code: ItemCode) -> None:
    with pytest.raises(ItemPermanent) as refused:
        parse_picture_url("https://shop.example/").follow(location)
    assert refused.value.code == code


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://shop.example/", "http://["]))
def test_any_text_is_either_parsed_or_refused_as_an_item_fault(text: str, prefix: str) -> None:
    try:
        parsed = parse_picture_url(prefix + text)
    except ItemPermanent as fault:
        assert fault.code in (INVALID, BLOCKED)
    else:
        assert parse_picture_url(str(parsed)) == parsed
