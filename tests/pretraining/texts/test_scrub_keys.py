import pytest

from spacy_llm_tasks.pretraining.texts.scrub import scrub

from .scrubbing import assert_time_is_linear, text_and_expected

# All made up, but for the AWS example, which is the one of its documentation.
HEX = "0123456789abcdef" * 2
LINES = "".join(f"MIIEowIBAAKCAQEA{i:016d}ab+/cdEFghIJklMN\n" for i in range(400))
PEM = "-----{0} RSA PRIVATE KEY-----"
PGP = "-----{0} PGP PRIVATE KEY BLOCK-----"

FOUND = [
    "postgres://user:{s3cr3tPassw0rd99}@db.example.com/x",
    "https://joe:{pa55}@example.org/ and",
    "redis://:{p@ss:w0rd}@cache.example.com:6379/0",
    '"password": "{Xy12#$abcdEF9876zzz}", "next": 1',
    "secret='{k9$Lm2&Qw7!Zx4%Rt1}'",
    f"Authorization: Bearer {{{HEX}}}",
    f"token: {{{HEX}12345678}}.",
    f"accessToken={{{HEX}}}&x=1",
    "client_secret: {deadbeef-1234-5678-9abc-def012345678}",
    "aws_secret_access_key = {wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}",
    'secretAccessKey: "{wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}"',
    "密码：{Abc123456789xyz000}。",
    "密钥{AKIA" + "Q3EXAMPLE7KEY9ZX}谢谢",
    "{dop_v1_" + "a1b2" * 16 + "}",
    f"{{{PEM.format('BEGIN')}\n{LINES}{PEM.format('END')}}}",
    f"{{{PEM.format('BEGIN')}\nProc-Type: 4,ENCRYPTED\n\n{LINES}{PEM.format('END')}}}",
    f"{{{PGP.format('BEGIN')}\nVersion: 1\n\n{'lQOYBFab' * 40}\n{PGP.format('END')}}}",
    f"{PEM.format('BEGIN')} ... {{{PEM.format('BEGIN')}\n{LINES}{PEM.format('END')}}}",
]

LEFT = [
    "secret_key = config.get_secret_key_name_1234",
    "access_token: projects/12345/secrets/abc",
    "password: '/run/secrets/database/2024-01-05/main'",
    "token = read_token_from_vault_2024(name)",
    "secret = load123secret456value.decode(x)",
    "api_key: '{{ vault.api_key_2024_01_05 }}'",
    "aws_secret_access_key = configuration/services/2024/key/sec1",
    "sk-learn-compat-models-2020-10-11",
    "the bearer of certificates_from_2019_2020",
    "https://example.org:8080/a@b, http://example.org:80",
    "http://example.org:8080?from=a",
    f"A key begins with {PEM.format('BEGIN')}, then there are lines of letters and digits, and "
    f"then it ends with {PEM.format('END')}, as was said in 1.",
    f"{PEM.format('END')} {LINES[:200]} {PEM.format('BEGIN')}",
]


@pytest.mark.parametrize("pattern", FOUND, ids=range(len(FOUND)))
def test_found(pattern):
    text, expected = text_and_expected(pattern, "KEY")
    assert scrub(text) == (expected, {"<KEY>": 1})
    assert scrub(expected) == (expected, {})


@pytest.mark.parametrize("text", LEFT)
def test_left(text):
    assert scrub(text, kinds=["KEY"]) == (text, {})
    assert scrub(f"It says {text} here.", kinds=["KEY"])[1] == {}


def test_a_block_without_digits():
    text = f"{PGP.format('BEGIN')}\n{'lQOYBFab' * 40}\n{PGP.format('END')}"
    assert scrub(text) == ("<KEY>", {"<KEY>": 1})


@pytest.mark.parametrize(
    "unit",
    [
        *("://", "://a:", "://a:@", "://:a", 'password="', "token=a1", "token='", "Bearer "),
        *("Bearer a1", "secret_access_key=", "secret_access_key=aA1", PEM.format("BEGIN")),
        *(PEM.format("END"), PEM.format("BEGIN") + "a1b2c3d4" + PEM.format("END"), "-----", "-"),
    ],
)
def test_time_is_linear(unit):
    text = unit * (100_000 // len(unit))
    assert_time_is_linear(text, "x://a:" + text, "token='" + text)
