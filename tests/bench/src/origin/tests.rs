use super::*;

#[test]
fn a_request_is_read_however_the_proxy_writes_it() {
    let read = |text: &str| Head::parse(text.as_bytes()).unwrap();
    let tunnel = "CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n";
    assert_eq!(read(tunnel), Some(Head { length: tunnel.len(), ask: Ask::Tunnel, close: false }));
    assert_eq!(read(&tunnel[..tunnel.len() - 1]), None);
    let whole = "GET http://o/bytes/1024 HTTP/1.1\r\nCONNECTION: Close\r\n\r\nGET";
    assert_eq!(read(whole), Some(Head { length: whole.len() - 3, ask: Ask::Bytes(1024), close: true }));
    assert_eq!(read("PUT /sink HTTP/1.1\r\n\r\n").unwrap().ask, Ask::Sink);
    assert_eq!(read("GET /bytes/x HTTP/1.1\r\n\r\n").unwrap().ask, Ask::Else);
    assert!(Head::parse(b"!!!\0").is_err());
}
