import pytest

from spacy_llm_tasks.pretraining.texts.scrub import scrub

from .scrubbing import assert_time_is_linear, text_and_expected

# Numbers published as examples, 555 numbers, or made up.
FOUND = {
    "PHONE": [
        "拨打{+8613812345678}联系",
        "手机号：{13812345678}",
        "手机号码是{138-1234-5678}。",
        "电话号码：{010-12345678}",
        "电话是{010-12345678}",
        "電話番号は{03-1234-5678}です",
        "電話{+81-3-1234-5678}まで",
        "手机{13812345678}联系",
        "전화번호: {010-1234-5678}",
        "phone {555-0123}",
        "phone number is {555-0123}",
        "cell {2125550123}",
        "mobile {07700 900123}",
        "mobile: {123 456 789}",
        "Tel {5550123}",
    ],
    "CARD": [
        "卡号{4111111111111111}。",
        "卡号{4111 1111 1111 1111}已",
        "Diners {36148900647913}",
        "{3056 930902 5904}",
        "Maestro {6759649826438453}",
        "{6759 6498 2643 8453}.",
        "{5019717010103742}",
        "卡号{6212345678901232}",
        "{6212345678900000003}",
    ],
    "IBAN": [
        "IBAN为{DE89370400440532013000}。",
        "iban: {de89370400440532013000}",
        "{DE89-3704-0044-0532-0130-00},",
        "{gb29 nwbk 6016 1331 9268 19}.",
    ],
}

LEFT = [
    *("mobile 100 000 000 users", "In 2019 mobile 5000000 units sold", "phone 3000000 sold"),
    *("cell 2000 3000 4000", "cell 1 2 3 4 5 6 7 8 9", "tel: 1 2 3 4 5 6 7", "mobile 12 34 56 78"),
    *("Cell 3 1200 4500", "a phone. 12345678 of them", "手机 5000000 台", "phone: 300000000"),
    *("phone 0.12345678", "mobile 200-3000", "订单号12345678", "phones 12345678"),
    *("36148900647914", "3056 930902 5905", "6759649826438454", "5018374350909", "20240315123456"),
    *(
        "de89370400440532013001",
        "DE89-3704-0044-0532-0130-01",
        "is12 abcd",
        "4111 1111 1111 1111 2",
    ),
]


@pytest.mark.parametrize("kind", FOUND)
def test_found(kind):
    for pattern in FOUND[kind]:
        text, expected = text_and_expected(pattern, kind)
        assert scrub(text) == (expected, {f"<{kind}>": 1}), text


@pytest.mark.parametrize("text", LEFT)
def test_left(text):
    assert scrub(text) == (text, {})
    assert scrub(f"It says {text} here.")[1] == {}


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "1",
            "1 ",
            "1-",
            "+86",
            "手机",
            "手机1",
            "电话是",
            "tel is ",
            "phone. ",
            "phone 1 ",
            "cell(1",
        ),
        *("de89-", "de89-3704-", "de893704", "3614 890064 ", "36148900647913 ", "62123456789 "),
    ],
)
def test_time_is_linear(unit):
    text = unit * (100_000 // len(unit))
    assert_time_is_linear(text)
