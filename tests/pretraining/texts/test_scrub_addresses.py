import pytest

from spacy_llm_tasks.pretraining.texts.scrub import scrub

from .scrubbing import assert_time_is_linear, text_and_expected

# Networks of documentation (RFC 5737 and 3849), and public name servers.
FOUND = {
    "EMAIL": [
        "请发到{jane@example.com}谢谢",
        "请联系我的私人邮箱{jane@example.com} 或者来信",
        "メールは{jane@example.jp}まで",
        "カタカナ{a.b+c@mail.example.co.jp}です",
        "메일은 {jane@example.com}으로",
        "ส่งถึง{jane@example.com}ได้",
        "пишите на {иван@example.com}.",
        "an {jürgen@bücher.example}",
        "an {ju\u0308rgen@example.org}",
        "mailto:{jane@example.org}",
    ],
    "IP": [
        "服务器{192.168.1.17}的日志",
        "アドレス{203.0.113.7}です",
        "서버 {203.0.113.7}에서",
        "见{2001:db8::8a2e:370:7334}，",
        "DNS {8.8.8.8} now",
        "{8.8.4.4},",
        "({1.1.1.1})",
        "ping {4.2.2.2}",
        "server: {5.9.3.4}",
        "server={5.9.3.4}",
        "host = {203.0.113.7}",
        "http://{5.9.3.4}/x",
        "服务器{5.9.3.4}的",
        "{fe80::1%eth0} up",
        "{fe80::1}",
        "{fd00::2}.",
        "{fe80::1ff:fe23:4567:890a%en0}",
        "[{2001:db8:1::5}]:443",
    ],
}

LEFT = [
    *("1.2.3.4", "8.2.4.44", "version 8.8.8.8", "section 1.1.1.1", "numpy==5.9.3.4", "v9.9.9.9"),
    *(
        "SQL Server 9.0.4.5",
        "Windows Server 6.1.2.3",
        "observer 1.2.3.4",
        "a ship 1.2.3.4",
        "host 127.0.0.1",
        "server 10.1.0.0",
        "DNS 0.0.0.0",
    ),
    *("dead:beef:1::", "dead::beef", "add:beef::1", "fe80::", "face::1", "a[2000::2]", "ab12::3"),
    *("Fade::f1", "std::a1", "10:20:30:40:50:60:10:20", "ff02::1:2", "x[2000:3000:2]"),
    *("react/umd@main.js", "github.com/a/b@c.py", "请@property装饰", "用户@例子.com"),
]


@pytest.mark.parametrize("kind", FOUND)
def test_found(kind):
    for pattern in FOUND[kind]:
        text, expected = text_and_expected(pattern, kind)
        assert scrub(text) == (expected, {f"<{kind}>": 1}), text
        assert scrub(expected) == (expected, {})


@pytest.mark.parametrize("text", LEFT)
def test_left(text):
    assert scrub(text) == (text, {})
    assert scrub(f"It says {text} here.")[1] == {}


def test_addresses_that_touch():
    assert scrub("a@b.com/c@d.com/e@f.org, x/g@h.com") == (
        "<EMAIL>/<EMAIL>/<EMAIL>, x/g@h.com",
        {"<EMAIL>": 3},
    )


def test_a_password_is_no_person():
    text = "postgres://user:s3cr3tPassw0rd99@db.example.com/x"
    assert scrub(text, kinds=["EMAIL"]) == (text, {})
    assert scrub(f"{text} mail:jane@example.com", kinds=["EMAIL"])[1] == {"<EMAIL>": 1}


@pytest.mark.parametrize(
    "unit",
    [
        *("@", ":", "é", "中", "a@b.", "/a@b.com", ":a@b.com", "://a:a@b.com", "中a@", "1.1.1.1 "),
        *("8.8.8.8,", "fe80::1%", "fe80::1%e ", "%", "server ", "::1%", "e\u0301", "a@b-"),
    ],
)
def test_time_is_linear(unit):
    text = unit * (100_000 // len(unit))
    assert_time_is_linear(text)
