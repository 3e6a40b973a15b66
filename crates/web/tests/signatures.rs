//! The time of a signature; the documented vectors are in `rows.rs`.

use plugyard_web::signature::{Generation, Refused, sign, verify};
use secrecy::SecretString;

fn headers(time: &str) -> Vec<(&'static str, String)> {
    [
        ("App-Id", "yh1OJ7WL"),
        ("Client-Platform-Id", "2"),
        ("Client-Version", "2.0.0"),
        ("Signature-Timestamp", time),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn get<'h>(headers: &'h [(&'static str, String)]) -> impl Fn(&str) -> Option<&'h str> {
    |name| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn secret() -> SecretString {
    "qUiEaDNQh2IpvGHOKlTMx7ujn8t1CZWX".into()
}

#[test]
fn web_55_a_time_more_than_ten_minutes_off_is_refused_in_seconds_and_milliseconds() {
    for (time, unit) in [
        ("1674161913", 1_674_161_913_000),
        ("1674161913000", 1_674_161_913_000),
    ] {
        let mut signed = headers(time);
        let signature = sign(get(&signed), &secret(), Generation::Sha256);
        signed.push(("Signature", signature));
        for (off, accepted) in [(599, true), (-599, true), (601, false), (-601, false)] {
            let verdict = verify(get(&signed), &secret(), unit + off * 1000);
            assert_eq!(verdict.is_ok(), accepted, "{time} {off}");
            if !accepted {
                assert_eq!(verdict, Err(Refused::Timestamp));
            }
        }
    }
    for none in ["", "soon", "99999999999999999999"] {
        let signed = headers(none);
        assert_eq!(
            verify(get(&signed), &secret(), 1_674_161_913_192),
            Err(Refused::Timestamp)
        );
    }
    assert_eq!(Refused::Signature as u32, 31302);
    assert_eq!(Refused::Timestamp as u32, 31303);
}
