//! The tables of the Fresns documentation, one test for each row: URLs (`url_NN`), what clients fill in
//! (`expansion_NN`), and signatures (`vector_NN`). The conformance page lists them by these names.
#![expect(clippy::unwrap_used, reason = "a table")]

use plugyard_model::codes;
use plugyard_web::columns;
use plugyard_web::signature::{Generation, Refused, sign, verify};
use plugyard_web::url::{
    Addresses, Encoding, NoUrl, Page, Parameter, access_url, expand_json, explain, settings_url,
    usage_url,
};
use secrecy::SecretString;

const SYSTEM: &str = "https://api.example.com";
const HOST: &str = "https://plug.example.net";

fn at<'a>(host: Option<&'a str>, path: Option<&'a str>) -> Addresses<'a> {
    Addresses {
        system_url: Some(SYSTEM),
        plugin_host: host,
        access_path: path,
        ..Addresses::default()
    }
}

/// The plugin's own page; its explanation says the same.
fn page(addresses: Addresses<'_>) -> Result<String, NoUrl> {
    let made = access_url(&addresses);
    let told = explain(&addresses, Page::Access(Parameter::default()));
    assert_eq!(told.map(|it| it.url()), made);
    made
}

/// The page as a usage offers it; its explanation says the same.
fn offered(addresses: Addresses<'_>, parameter: Parameter<'_>) -> Result<String, NoUrl> {
    let made = usage_url(&addresses, parameter);
    let told = explain(&addresses, Page::Access(parameter));
    assert_eq!(told.map(|it| it.url()), made);
    made
}

fn component(value: &str) -> Parameter<'_> {
    Parameter {
        value: Some(value),
        encoding: Encoding::Component,
    }
}

/// One test for each row of a table.
macro_rules! rows {
    ($($(#[$attribute:meta])* fn $name:ident() { $made:expr => $expected:expr })*) => {
        $($(#[$attribute])* fn $name() { assert_eq!($made.as_deref(), $expected); })*
    };
}

rows! {
    #[test]
    fn url_01_a_plugin_without_a_host_is_at_the_site() { page(at(None, Some("/mall"))) => Ok("https://api.example.com/mall") }
    #[test]
    fn url_02_a_host_comes_before_the_site() { page(at(Some(HOST), Some("/mall"))) => Ok("https://plug.example.net/mall") }
    #[test]
    fn url_03_an_empty_host_is_none() { page(at(Some(""), Some("/mall"))) => Ok("https://api.example.com/mall") }
    #[test]
    fn url_04_a_missing_slash_is_put_in() { page(at(Some(HOST), Some("mall"))) => Ok("https://plug.example.net/mall") }
    #[test]
    fn url_05_doubled_slashes_are_one() { page(at(Some(HOST), Some("//mall"))) => Ok("https://plug.example.net/mall") }
    #[test]
    fn url_06_a_path_can_be_a_slash() { page(at(Some(HOST), Some("/"))) => Ok("https://plug.example.net/") }
    #[test]
    fn url_07_a_slash_at_the_end_stays() { page(at(Some(HOST), Some("/mall/"))) => Ok("https://plug.example.net/mall/") }
    #[test]
    fn url_08_a_site_of_an_older_table_may_end_in_a_slash() { page(Addresses { system_url: Some("https://api.example.com/"), ..at(None, Some("/mall")) }) => Ok("https://api.example.com/mall") }
    #[test]
    fn url_09_a_port_stays() { page(at(Some("https://plug.example.net:8443"), Some("/mall"))) => Ok("https://plug.example.net:8443/mall") }
    #[test]
    fn url_10_a_host_can_have_a_path() { page(at(Some("https://plug.example.net/apps/shop"), Some("/mall"))) => Ok("https://plug.example.net/apps/shop/mall") }
    #[test]
    fn url_11_without_a_path_there_is_no_page() { page(at(Some(HOST), None)) => Err(&NoUrl::NoAccessPath) }
    #[test]
    fn url_12_an_empty_path_is_none() { page(at(Some(HOST), Some(""))) => Err(&NoUrl::NoAccessPath) }
    #[test]
    fn url_13_a_path_can_be_a_query() { page(at(Some(HOST), Some("?tab=1"))) => Ok("https://plug.example.net/?tab=1") }
    #[test]
    fn url_14_a_scheme_in_a_query_is_text() { page(at(Some(HOST), Some("/go?to=https://x.example/a"))) => Ok("https://plug.example.net/go?to=https://x.example/a") }
    #[test]
    fn url_15_zero_is_a_path() { page(at(Some(HOST), Some("0"))) => Ok("https://plug.example.net/0") }
    #[test]
    fn url_16_without_a_usage_nothing_is_replaced() { page(at(Some(HOST), Some("/mall?id={parameter}"))) => Ok("https://plug.example.net/mall?id={parameter}") }
    #[test]
    fn url_17_a_parameter_is_put_in() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("vip")) => Ok("https://plug.example.net/mall?id=vip") }
    #[test]
    fn url_18_a_parameter_can_be_a_part_of_the_path() { offered(at(None, Some("/mall/{parameter}/list")), Parameter::verbatim("vip")) => Ok("https://api.example.com/mall/vip/list") }
    #[test]
    fn url_19_every_occurrence_is_replaced() { offered(at(Some(HOST), Some("/c/{parameter}?a={parameter}")), Parameter::verbatim("7")) => Ok("https://plug.example.net/c/7?a=7") }
    #[test]
    fn url_20_zero_is_a_value() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("0")) => Ok("https://plug.example.net/mall?id=0") }
    #[test]
    fn url_21_without_a_parameter_nothing_is_replaced() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::default()) => Ok("https://plug.example.net/mall?id={parameter}") }
    #[test]
    fn url_22_the_empty_text_is_a_value() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("")) => Ok("https://plug.example.net/mall?id=") }
    #[test]
    fn url_23_a_parameter_without_a_place_has_no_effect() { offered(at(Some(HOST), Some("/mall")), Parameter::verbatim("vip")) => Ok("https://plug.example.net/mall") }
    #[test]
    fn url_24_case_matters() { offered(at(Some(HOST), Some("/mall?id={Parameter}")), Parameter::verbatim("vip")) => Ok("https://plug.example.net/mall?id={Parameter}") }
    #[test]
    fn url_27_a_parameter_can_be_several_pairs() { offered(at(Some(HOST), Some("/mall?{parameter}")), Parameter::verbatim("x=1&y=2")) => Ok("https://plug.example.net/mall?x=1&y=2") }
    #[test]
    fn url_28_what_is_put_in_is_not_looked_at_again() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("{parameter}")) => Ok("https://plug.example.net/mall?id={parameter}") }
    #[test]
    fn url_29_a_parameter_can_hold_a_variable_of_the_client() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("{uid}")) => Ok("https://plug.example.net/mall?id={uid}") }
    #[test]
    fn url_30_nothing_in_a_parameter_is_an_escape() { offered(at(Some(HOST), Some("/mall?id={parameter}")), Parameter::verbatim("$1\\0")) => Ok("https://plug.example.net/mall?id=$1\\0") }
    #[test]
    fn url_32_all_other_variables_are_the_clients() { offered(at(Some(HOST), Some("/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c={parameter}")), Parameter::verbatim("A1")) => Ok("https://plug.example.net/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c=A1") }
    #[test]
    fn url_33_a_usage_has_no_page_where_its_plugin_has_none() { offered(at(Some(HOST), None), Parameter::verbatim("vip")) => Err(&NoUrl::NoAccessPath) }
    #[test]
    fn url_34_without_host_and_site_there_is_no_page() { page(Addresses { system_url: None, ..at(None, Some("/mall")) }) => Err(&NoUrl::NoBaseUrl) }
    #[test]
    fn url_39_a_host_of_an_older_table_may_end_in_slashes() { page(at(Some("https://plug.example.net//"), Some("//mall"))) => Ok("https://plug.example.net/mall") }
    #[test]
    fn url_41_a_parameter_stands_before_the_fragment() { offered(at(Some(HOST), Some("/mall?id={parameter}#top")), Parameter::verbatim("a?b")) => Ok("https://plug.example.net/mall?id=a?b#top") }
    #[test]
    fn url_42_the_page_for_the_operator_is_at_the_host_too() { settings_url(&Addresses { settings_path: Some("/mall/admin?id={parameter}"), ..at(Some(HOST), None) }) => Ok("https://plug.example.net/mall/admin?id={parameter}") }
}

#[test]
fn url_25_other_letters_are_put_in_as_they_are_or_encoded() {
    let addresses = at(Some(HOST), Some("/mall?n={parameter}"));
    assert_eq!(
        offered(addresses, Parameter::verbatim("中文")).unwrap(),
        "https://plug.example.net/mall?n=中文"
    );
    assert_eq!(
        offered(addresses, component("中文")).unwrap(),
        "https://plug.example.net/mall?n=%E4%B8%AD%E6%96%87"
    );
}

#[test]
fn url_26_what_parts_a_url_is_put_in_as_it_is_or_encoded() {
    let addresses = at(Some(HOST), Some("/mall?q={parameter}"));
    assert_eq!(
        offered(addresses, Parameter::verbatim("a b&c=d#e")).unwrap(),
        "https://plug.example.net/mall?q=a b&c=d#e"
    );
    assert_eq!(
        offered(addresses, component("a b&c=d#e")).unwrap(),
        "https://plug.example.net/mall?q=a%20b%26c%3Dd%23e"
    );
}

#[test]
fn url_31_a_lone_percent_sign_is_put_in_as_it_is_or_encoded() {
    let addresses = at(Some(HOST), Some("/mall?id={parameter}"));
    assert_eq!(
        offered(addresses, Parameter::verbatim("50%")).unwrap(),
        "https://plug.example.net/mall?id=50%"
    );
    assert_eq!(
        offered(addresses, component("50%")).unwrap(),
        "https://plug.example.net/mall?id=50%25"
    );
}

fn path(text: &str) -> Result<Option<String>, plugyard_model::Code> {
    let (taken, issues) = columns::path(text, columns::PATH_MAX);
    match issues.first() {
        Some(issue) => Err(issue.code),
        None => Ok(taken),
    }
}

#[test]
fn url_35_a_host_with_a_slash_at_its_end_is_refused() {
    assert_eq!(
        columns::plugin_host("https://plug.example.net/").map_err(|it| it.code),
        Err(codes::E_HOST_TRAILING_SLASH)
    );
}

#[test]
fn url_36_a_host_of_another_scheme_is_refused() {
    assert_eq!(
        columns::plugin_host("ftp://plug.example.net").map_err(|it| it.code),
        Err(codes::E_HOST_SCHEME)
    );
}

#[test]
fn url_37_a_path_that_would_bypass_the_host_is_refused() {
    assert_eq!(path("https://evil.example/x"), Err(codes::E_PATH_ABSOLUTE));
}

#[test]
fn url_38_a_path_that_leads_up_is_refused() {
    assert_eq!(path("/a/../../admin"), Err(codes::E_PATH_DOTS));
}

#[test]
fn url_40_two_usages_of_a_plugin_have_their_own_pages() {
    let addresses = at(Some(HOST), Some("/mall?id={parameter}"));
    for (parameter, url) in [
        ("gold", "https://plug.example.net/mall?id=gold"),
        ("silver", "https://plug.example.net/mall?id=silver"),
    ] {
        let made = offered(addresses, Parameter::verbatim(parameter));
        assert_eq!(made.unwrap(), url);
    }
}

/// A row of the table that every client library runs too.
fn expanded(row: u64) {
    let vectors = include_str!("../../../clients/vectors/expand.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["row"] == row).unwrap();
    let (url, expected) = (case["url"].as_str().unwrap(), &case["expanded"]);
    let made = expand_json(url, case["values"].as_object().unwrap()).unwrap();
    assert_eq!(made, expected.as_str().unwrap());
}

#[test]
fn expansion_01_variables_are_filled() {
    expanded(1);
}

#[test]
fn expansion_02_zero_is_a_value_and_what_is_absent_leaves_nothing() {
    expanded(2);
}

#[test]
fn expansion_03_what_is_encoded_already_is_not_encoded_again() {
    expanded(3);
}

#[test]
fn expansion_04_an_unknown_variable_leaves_nothing() {
    expanded(4);
}

#[test]
fn expansion_05_a_parameter_nobody_filled_leaves_nothing() {
    expanded(5);
}

#[test]
fn expansion_06_what_parts_a_url_is_encoded() {
    expanded(6);
}

#[test]
fn expansion_07_what_is_filled_in_is_not_filled_again() {
    expanded(7);
}

const TIME: i64 = 1_674_161_913_192;

/// The documented request of nobody (0), of an account (1) and of its user (2), with its signature.
fn vector(signed_in: usize, generation: Generation, signature: &str) {
    let secret = SecretString::from("qUiEaDNQh2IpvGHOKlTMx7ujn8t1CZWX");
    let all = [
        ("App-Id", "yh1OJ7WL"),
        ("Client-Platform-Id", "2"),
        ("Client-Version", "2.0.0"),
        ("Signature-Timestamp", "1674161913192"),
        ("Aid", "wIfu6jaF"),
        ("Aid-Token", "uoX1hk6SHUgB2MFGJwNx38dem9DA7Vsz"),
        ("Uid", "782622"),
        ("Uid-Token", "PqBpwPLJgfd1sH0X5JffYFGxTSc8RW7c"),
    ];
    let mut headers: Vec<(&str, &str)> = all[..4 + signed_in * 2].to_vec();
    let owned = |headers: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let pairs = headers.iter();
        pairs
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    };
    let plain = owned(&headers);
    let found = |name: &str| plain.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    assert_eq!(sign(found, &secret, generation), signature);
    headers.push(("Signature", signature));
    let signed = owned(&headers);
    let check = |headers: &[(&'static str, String)]| {
        let found = |name: &str| {
            headers
                .iter()
                .find(|it| it.0 == name)
                .map(|it| it.1.as_str())
        };
        verify(found, &secret, TIME)
    };
    assert_eq!(check(&signed), Ok(generation));
    for index in 0..signed.len() {
        let mut changed = signed.clone();
        if changed[index].0 == "Signature-Timestamp" {
            continue;
        }
        let last = changed[index].1.pop().unwrap();
        changed[index].1.push(if last == 'x' { 'y' } else { 'x' });
        assert_eq!(
            check(&changed),
            Err(Refused::Signature),
            "{}",
            signed[index].0
        );
    }
}

#[test]
fn vector_01_nobody_in_the_second_generation() {
    vector(0, Generation::Md5, "17da32290c6a73ea1dd9121607e63e8f");
}

#[test]
fn vector_02_nobody_in_the_third_generation() {
    vector(
        0,
        Generation::Sha256,
        "be2793e6d2a5ef528469a19a4e791110bdb07ba9726f9d1e6b5365c39eb14113",
    );
}

#[test]
fn vector_03_an_account_in_the_second_generation() {
    vector(1, Generation::Md5, "3ed72e2dd20304f781b69ec06c6aa584");
}

#[test]
fn vector_04_an_account_in_the_third_generation() {
    vector(
        1,
        Generation::Sha256,
        "a133cdc4cf6bfbd1f01a3ef6e0a39989356fd1e6cc83709fd0242afe37b8eb2e",
    );
}

#[test]
fn vector_05_a_user_in_the_second_generation() {
    vector(2, Generation::Md5, "2174eaeab76fb6a3790ed4f7ebb2edfb");
}

#[test]
fn vector_06_a_user_in_the_third_generation() {
    vector(
        2,
        Generation::Sha256,
        "34a9219420b05e6deaaf8ee991bcee293968a5b21cce93ba9bdc601d1f994ada",
    );
}
