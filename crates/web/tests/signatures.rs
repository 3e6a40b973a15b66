//! The signature vectors of the Fresns documentation.

use plugyard_web::signature::{Generation, Refused, sign, verify};
use secrecy::SecretString;

const TIME: i64 = 1_674_161_913_192;

fn headers(time: &str, signed_in: usize) -> Vec<(&'static str, String)> {
    let all = [
        ("App-Id", "yh1OJ7WL"),
        ("Client-Platform-Id", "2"),
        ("Client-Version", "2.0.0"),
        ("Signature-Timestamp", time),
        ("Aid", "wIfu6jaF"),
        ("Aid-Token", "uoX1hk6SHUgB2MFGJwNx38dem9DA7Vsz"),
        ("Uid", "782622"),
        ("Uid-Token", "PqBpwPLJgfd1sH0X5JffYFGxTSc8RW7c"),
    ];
    all[..4 + signed_in * 2]
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
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
fn web_55_the_documented_vectors_verify_in_both_generations() {
    let vectors = [
        (
            "17da32290c6a73ea1dd9121607e63e8f",
            "be2793e6d2a5ef528469a19a4e791110bdb07ba9726f9d1e6b5365c39eb14113",
        ),
        (
            "3ed72e2dd20304f781b69ec06c6aa584",
            "a133cdc4cf6bfbd1f01a3ef6e0a39989356fd1e6cc83709fd0242afe37b8eb2e",
        ),
        (
            "2174eaeab76fb6a3790ed4f7ebb2edfb",
            "34a9219420b05e6deaaf8ee991bcee293968a5b21cce93ba9bdc601d1f994ada",
        ),
    ];
    for (signed_in, (md5, sha256)) in vectors.into_iter().enumerate() {
        let plain = headers(&TIME.to_string(), signed_in);
        assert_eq!(sign(get(&plain), &secret(), Generation::Md5), md5);
        assert_eq!(sign(get(&plain), &secret(), Generation::Sha256), sha256);
        for (signature, generation) in [(md5, Generation::Md5), (sha256, Generation::Sha256)] {
            let mut signed = plain.clone();
            signed.push(("Signature", signature.to_owned()));
            assert_eq!(verify(get(&signed), &secret(), TIME), Ok(generation));
            for at in 0..signed.len() {
                if signed[at].0 == "Signature-Timestamp" {
                    continue;
                }
                let mut changed = signed.clone();
                let last = changed[at].1.pop().unwrap();
                changed[at].1.push(if last == 'x' { 'y' } else { 'x' });
                assert_eq!(
                    verify(get(&changed), &secret(), TIME),
                    Err(Refused::Signature),
                    "{at}"
                );
            }
        }
    }
    assert_eq!(Refused::Signature as u32, 31302);
    assert_eq!(Refused::Timestamp as u32, 31303);
}

#[test]
fn web_55_a_time_more_than_ten_minutes_off_is_refused_in_seconds_and_milliseconds() {
    for (time, unit) in [
        ("1674161913", 1_674_161_913_000),
        ("1674161913000", 1_674_161_913_000),
    ] {
        let mut signed = headers(time, 0);
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
        let signed = headers(none, 0);
        assert_eq!(
            verify(get(&signed), &secret(), TIME),
            Err(Refused::Timestamp)
        );
    }
}
