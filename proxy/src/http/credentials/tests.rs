use argon2::Params;
use argon2::password_hash::{PasswordHasher as _, SaltString};

use super::*;

fn hash(password: &str) -> String {
    let cheap = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    cheap.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

fn read(text: &str) -> Result<Credentials, CredentialsError> {
    let directory = std::env::temp_dir();
    let path = directory.join(format!("anabranch-credentials-{}-{:x}", std::process::id(), fastrand(text)));
    std::fs::write(&path, text).unwrap();
    let credentials = Credentials::read(&path);
    std::fs::remove_file(&path).unwrap();
    credentials
}

fn fastrand(text: &str) -> u64 {
    RandomState::new().hash_one(text)
}

fn basic(pair: &str) -> HeaderMap {
    let token = base64::engine::general_purpose::STANDARD.encode(pair);
    let value = HeaderValue::from_str(&format!("Basic {token}")).unwrap();
    HeaderMap::from_iter([(header::PROXY_AUTHORIZATION, value)])
}

#[tokio::test]
async fn the_name_is_the_subscriber_only_with_its_own_password() {
    let file = format!("# household 1\nann:{}\n\nbob:{}\n", hash("a:b"), hash("second"));
    let credentials = read(&file).unwrap();
    for _ in 0..2 {
        assert_eq!(credentials.subscriber(&basic("ann:a:b")).await.as_deref(), Some("ann"));
        assert_eq!(credentials.subscriber(&basic("ann:second")).await, None);
        assert_eq!(credentials.subscriber(&basic("eve:a:b")).await, None);
    }
    assert_eq!(credentials.subscriber(&HeaderMap::new()).await, None);
    let bearer = HeaderMap::from_iter([(header::PROXY_AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
    assert_eq!(credentials.subscriber(&bearer).await, None);
}

#[test]
fn a_bad_line_is_named_without_its_secret() {
    let file = format!("ann:{}\nbob:secret\n", hash("x"));
    let message = read(&file).unwrap_err().to_string();
    assert!(message.contains(":2: expected NAME:HASH") && !message.contains("secret"), "{message}");
    assert!(read("").is_err());
    assert!(read("ann\n").unwrap_err().to_string().contains("no colon"));
    let twice = format!("ann:{0}\nann:{0}\n", hash("x"));
    assert!(read(&twice).unwrap_err().to_string().contains("already"));
}
