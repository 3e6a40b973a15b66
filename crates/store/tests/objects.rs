//! Every object store takes the same bytes and keeps the same promises.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::{Path, PathBuf};

use plugyard_model::Digest;
use plugyard_store::testing::{TestObjects, object_stores};
use plugyard_store::{ObjectError, Objects};
use sha2::{Digest as _, Sha256};

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn file(test: &TestObjects, bytes: &[u8]) -> PathBuf {
    let path = test.home().join("staged");
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn read(objects: &Objects, digest: &Digest) -> Vec<u8> {
    std::fs::read(objects.local_file(digest).await.unwrap()).unwrap()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files_below(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[tokio::test]
async fn an_object_is_found_by_its_digest_until_it_is_deleted() {
    for test in object_stores().await {
        let (objects, digest) = (&test.objects, digest(b"bytes"));
        objects.ping().await.unwrap();
        assert!(!objects.exists(&digest).await.unwrap(), "{}", test.sort);
        let missing = objects.local_file(&digest).await;
        assert!(matches!(missing, Err(ObjectError::NotFound { .. })));

        let staged = file(&test, b"bytes");
        objects.put_file(&staged, &digest).await.unwrap();
        assert!(!staged.exists());
        assert_eq!(read(objects, &digest).await, b"bytes", "{}", test.sort);
        assert_eq!(objects.list().await.unwrap(), [digest], "{}", test.sort);

        let again = file(&test, b"bytes");
        objects.put_file(&again, &digest).await.unwrap();
        assert!(!again.exists());
        objects.delete(&digest).await.unwrap();
        objects.delete(&digest).await.unwrap();
        assert!(!objects.exists(&digest).await.unwrap(), "{}", test.sort);
        let missing = objects.local_file(&digest).await;
        assert!(matches!(missing, Err(ObjectError::NotFound { .. })));
    }
}

#[tokio::test]
async fn large_and_empty_objects_arrive_whole() {
    // At, over and far over the size of one part.
    let large: Vec<u8> = (0..20_000_003_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for test in object_stores().await {
        for bytes in [
            &large[..0],
            &large[..8 << 20],
            &large[..=8 << 20],
            &large[..],
        ] {
            let digest = digest(bytes);
            let staged = file(&test, bytes);
            test.objects.put_file(&staged, &digest).await.unwrap();
            let (elsewhere, _home) = test.elsewhere();
            assert!(
                read(&elsewhere, &digest).await == bytes,
                "{} of {}",
                bytes.len(),
                test.sort
            );
        }
    }
}

#[tokio::test]
async fn a_file_with_other_bytes_is_refused_and_stays() {
    let large = vec![7; (8 << 20) + 1];
    for test in object_stores().await {
        for bytes in [b"other".as_slice(), &large] {
            let claimed = digest(b"bytes");
            let staged = file(&test, bytes);
            let refused = test.objects.put_file(&staged, &claimed).await;
            assert!(
                matches!(&refused, Err(ObjectError::Mismatch { expected, found })
                    if *expected == claimed && *found == digest(bytes)),
                "{refused:?}"
            );
            assert_eq!(std::fs::read(&staged).unwrap(), bytes);
            assert_eq!(test.objects.list().await.unwrap(), []);
        }
        if let Some((status, body)) = test.raw("GET", "/packages-of-tests?uploads", b"") {
            let body = String::from_utf8(body).unwrap();
            assert_eq!(status, 200);
            assert!(
                body.contains("ListMultipartUploadsResult") && !body.contains("<UploadId>"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_store_altered_is_not_used() {
    for test in object_stores().await {
        let digest = digest(b"bytes");
        let path = format!("/packages-of-tests/some/prefix/packages/{digest}");
        let Some((status, _)) = test.raw("PUT", &path, b"hostile") else {
            continue;
        };
        assert_eq!(status, 200);
        let refused = test.objects.local_file(&digest).await;
        assert!(
            matches!(refused, Err(ObjectError::Mismatch { .. })),
            "{refused:?}"
        );
        assert_eq!(files_below(test.home()), [] as [PathBuf; 0]);
    }
}

#[tokio::test]
async fn a_copy_is_fetched_once_even_by_many_at_once() {
    for test in object_stores().await {
        let digest = digest(b"bytes");
        let staged = file(&test, b"bytes");
        test.objects.put_file(&staged, &digest).await.unwrap();
        let (elsewhere, home) = test.elsewhere();
        let readers = (0..8).map(|_| {
            let objects = elsewhere.clone();
            tokio::spawn(async move { read(&objects, &digest).await })
        });
        for reader in readers.collect::<Vec<_>>() {
            assert_eq!(reader.await.unwrap(), b"bytes");
        }
        if test
            .raw(
                "DELETE",
                &format!("/packages-of-tests/some/prefix/packages/{digest}"),
                b"",
            )
            .is_some()
        {
            // Nothing but the copy is left, and it serves.
            assert_eq!(read(&elsewhere, &digest).await, b"bytes");
            assert_eq!(files_below(home.path()).len(), 1);
        }
    }
}

#[tokio::test]
async fn what_an_earlier_process_left_half_copied_is_removed() {
    for test in object_stores().await {
        let half = test.home().join("cache/packages/.partial-x");
        if test.sort == "files" {
            continue;
        }
        std::fs::write(&half, b"by").unwrap();
        Objects::open(&test.url, &test.options, test.home().join("cache")).unwrap();
        assert!(!half.exists());
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_by_name() {
    for test in object_stores().await {
        if test.sort == "files" {
            continue;
        }
        let url = "s3://no-such-bucket/prefix".parse().unwrap();
        let objects = Objects::open(&url, &test.options, test.home().join("other")).unwrap();
        let error = objects.ping().await.unwrap_err();
        assert!(
            error.to_string().contains("s3://no-such-bucket/prefix"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_unencrypted_endpoint_needs_to_be_asked_for() {
    for test in object_stores().await {
        if test.sort == "files" {
            continue;
        }
        let mut options = test.options.clone();
        options.allow_http = false;
        let objects = Objects::open(&test.url, &options, test.home().join("other")).unwrap();
        assert!(matches!(
            objects.ping().await,
            Err(ObjectError::Reach { .. })
        ));
    }
}

#[tokio::test]
async fn a_store_belongs_to_who_claimed_it_first() {
    for test in object_stores().await {
        let (elsewhere, _home) = test.elsewhere();
        test.objects.claim("first").await.unwrap();
        test.objects.claim("first").await.unwrap();
        elsewhere.claim("first").await.unwrap();
        let refused = elsewhere.claim("second").await.unwrap_err();
        assert!(
            matches!(&refused, ObjectError::Foreign { owner, .. } if owner == "first"),
            "{}: {refused}",
            test.sort
        );
        // The mark is no object.
        assert!(test.objects.list().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn of_two_that_claim_at_once_one_has_it() {
    for test in object_stores().await {
        let (elsewhere, _home) = test.elsewhere();
        let (a, b) = tokio::join!(test.objects.claim("a"), elsewhere.claim("b"));
        assert_ne!(a.is_ok(), b.is_ok(), "{}: {a:?} {b:?}", test.sort);
    }
}
