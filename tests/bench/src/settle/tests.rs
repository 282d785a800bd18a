use super::*;

#[test]
fn the_memory_of_tcp_is_read_and_no_other() {
    let text = "sockets: used 9\nTCP: inuse 1 orphan 0 tw 5 alloc 133 mem 407378\nUDP: inuse 2 mem 3\nFRAG: inuse 0 memory 4\n";
    assert_eq!(memory(text), Some(407_378));
    assert_eq!(memory("UDP: inuse 2 mem 3\n"), None);
    assert_eq!(memory("TCP: inuse 1 mem x\n"), None);
}

#[test]
fn this_kernel_tells_both() {
    let (calm, used) = (calm().unwrap(), used().unwrap());
    assert!(calm / SHARE > 0 && used < calm * 10, "{used} of {calm}");
}
