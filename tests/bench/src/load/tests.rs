use super::*;

#[test]
fn an_answer_is_read_when_its_head_is_whole() {
    let text = b"HTTP/1.1 200 Connection established\r\nX: y\r\ncontent-LENGTH: 7\r\n\r\nabcdefg";
    assert_eq!(parse(text).unwrap(), Some(Answer { status: 200, head: text.len() - 7, body: 7 }));
    assert_eq!(parse(&text[..40]).unwrap(), None);
    assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
}

#[test]
fn a_request_is_absolute_for_a_proxy_alone() {
    let way = |proxy: Option<&str>| Way {
        protocol: Protocol::Tcp,
        proxy: proxy.map(|text| text.parse().unwrap()),
        origin: "10.0.0.9:80".parse().unwrap(),
    };
    let through = way(Some("10.0.0.1:3128"));
    assert!(
        through
            .request(5, true, false)
            .starts_with("GET http://10.0.0.9:80/bytes/5 HTTP/1.1\r\nHost: 10.0.0.9:80\r\n\r\n")
    );
    assert!(through.request(5, false, false).starts_with("GET /bytes/5 "));
    assert!(way(None).request(5, true, true).starts_with("GET /bytes/5 "));
    assert!(way(None).request(5, true, true).ends_with("\r\nConnection: close\r\n\r\n"));
}
