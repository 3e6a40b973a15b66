//! Documents of a market, from anybody and from who has its keys: nothing panics, nothing foreign is trusted, and
//! what was seen never goes back. The first byte says where the rest goes.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use plugyard_market::{MarketSettings, Repository, Trust, legacy};

struct Market {
    trust: Trust,
    timestamp: Vec<u8>,
    snapshot: Vec<u8>,
    targets: Vec<u8>,
}

fn market() -> &'static Market {
    static MARKET: OnceLock<Market> = OnceLock::new();
    MARKET.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("m");
        let repository = Repository::init(&path, MarketSettings::default(), now()).expect("a market");
        let read = |file: &str| std::fs::read(path.join("metadata").join(file)).expect("a document");
        Market {
            trust: Trust::from_root(&repository.root().expect("a root")).expect("its own root"),
            timestamp: read("timestamp.json"),
            snapshot: read("1.snapshot.json"),
            targets: read("1.targets.json"),
        }
    })
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).expect("a time")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let market = market();
    let mut trust = market.trust.clone();
    match how % 6 {
        0 => {
            // Whoever makes up a root can make it sound; it is trusted only when somebody says so.
            if let Ok(mut own) = Trust::from_root(rest) {
                let _ = own.timestamp(rest, now());
            }
            assert!(trust.next_root(rest).is_err());
        }
        1 => {
            let taken = trust.timestamp(rest, now()).is_ok();
            assert!(!taken || rest == market.timestamp || trust.seen().timestamp == 1);
        }
        2 => {
            trust.timestamp(&market.timestamp, now()).expect("sound");
            assert!(trust.snapshot(rest, now()).is_err() || rest == market.snapshot);
        }
        3 => {
            trust.timestamp(&market.timestamp, now()).expect("sound");
            let (snapshot, _) = trust.snapshot(&market.snapshot, now()).expect("sound");
            assert!(trust.targets(snapshot, rest, now()).is_err() || rest == market.targets);
        }
        4 => {
            let _ = legacy::read_versions("check", rest);
            let _ = legacy::read_package("download", rest);
        }
        _ => {
            if let Ok(mut stored) = serde_json::from_slice::<Trust>(rest) {
                let _ = stored.root_keys();
                let _ = stored.check_root(now());
                let _ = stored.next_root(market.trust.root().as_bytes());
                let _ = stored.timestamp(&market.timestamp, now());
            }
        }
    }
});
