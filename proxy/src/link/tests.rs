use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// The proxy's sessions, as a test says they are.
#[derive(Default)]
struct House {
    living: Mutex<BTreeMap<u64, SessionFacts>>,
    obeyed: Mutex<Vec<Directive>>,
    released: Mutex<u32>,
}

impl Sessions for House {
    fn all(&self) -> Vec<SessionFacts> {
        self.living.lock().values().cloned().collect()
    }

    fn obey(&self, directive: Directive) {
        self.obeyed.lock().push(directive);
    }

    fn release(&self) {
        *self.released.lock() += 1;
    }
}

impl House {
    fn begin(&self, teller: &Teller, number: u64) {
        self.living.lock().insert(number, session(number));
        teller.tell(|| News::Session(session(number)));
    }

    fn end(&self, teller: &Teller, number: u64) {
        self.living.lock().remove(&number);
        teller.tell(|| News::Ended(number));
    }
}

fn session(number: u64) -> SessionFacts {
    SessionFacts {
        session: number,
        token: Token(u32::try_from(number).unwrap()),
        listener: "edge".into(),
        client: "10.1.0.2:40000".parse().unwrap(),
        subscriber: None,
        origin: Some("example.org:443".into()),
        destination: Some("203.0.113.7:443".parse().unwrap()),
    }
}

/// What the steering side holds after these news.
async fn listen_until(table: &mut BTreeMap<u64, SessionFacts>, from: &mut mpsc::Receiver<News>, wanted: usize) {
    let heard = async {
        while table.len() != wanted {
            match from.recv().await.expect("the link lives") {
                News::Forget => table.clear(),
                News::Session(facts) => drop(table.insert(facts.session, facts)),
                News::Ended(number) => drop(table.remove(&number)),
            }
        }
    };
    timeout(SOON, heard).await.expect("told in time");
}

#[tokio::test]
async fn who_begins_to_listen_is_told_who_lives_and_then_what_changes() {
    let house = Arc::new(House::default());
    let (teller, mut told) = Teller::new();
    house.begin(&teller, 1);
    assert!(!teller.is_heard(), "nobody listens yet");
    let (ours, mut theirs) = pair();
    let carry = {
        let (house, teller) = (house.clone(), teller.clone());
        tokio::spawn(async move { forward(&teller, &mut told, &*house, ours).await })
    };
    let mut table = BTreeMap::new();
    listen_until(&mut table, &mut theirs.from, 1).await;
    house.begin(&teller, 2);
    house.begin(&teller, 3);
    listen_until(&mut table, &mut theirs.from, 3).await;
    house.end(&teller, 1);
    listen_until(&mut table, &mut theirs.from, 2).await;
    assert_eq!(table.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(table[&3], session(3));

    let bound = Directive::BoundUnsent { token: Token(3), bytes: Some(8192) };
    theirs.to.send(bound).await.unwrap();
    drop(theirs);
    timeout(SOON, carry).await.expect("it ends with the link").unwrap();
    assert_eq!(*house.obeyed.lock(), [bound]);
    assert_eq!(*house.released.lock(), 1, "nobody is left who would take it back");
    assert!(!teller.is_heard());
}

#[tokio::test]
async fn what_found_no_room_is_made_good_by_telling_all() {
    let house = Arc::new(House::default());
    let (teller, mut told) = Teller::new();
    let (ours, mut theirs) = pair();
    let carry = {
        let (house, teller) = (house.clone(), teller.clone());
        tokio::spawn(async move { forward(&teller, &mut told, &*house, ours).await })
    };
    let mut table = BTreeMap::new();
    house.begin(&teller, 0);
    listen_until(&mut table, &mut theirs.from, 1).await;
    // This thread does not let the others run until far more was told than there is room for.
    let many = u64::try_from(3 * ROOM).unwrap();
    for number in 1..many {
        house.begin(&teller, number);
    }
    for number in (0..many).filter(|number| number % 2 == 1) {
        house.end(&teller, number);
    }
    listen_until(&mut table, &mut theirs.from, 3 * ROOM / 2).await;
    assert_eq!(table, house.living.lock().clone());
    carry.abort();
}

#[tokio::test]
async fn two_processes_say_the_same_over_a_socket() {
    let directory = std::env::temp_dir().join(format!("anabranch-link-{}", std::process::id()));
    let path = directory.join("link.sock");
    let accept = listen(&path, None).unwrap().accept().unwrap();
    let house = Arc::new(House::default());
    let (teller, mut told) = Teller::new();
    house.begin(&teller, 7);
    let (ours, theirs) = tokio::join!(connect(&path), accept.next());
    let ours = ours.unwrap();
    let mut theirs = theirs;
    let carry = {
        let (house, teller) = (house.clone(), teller.clone());
        tokio::spawn(async move { forward(&teller, &mut told, &*house, ours).await })
    };
    let mut table = BTreeMap::new();
    listen_until(&mut table, &mut theirs.from, 1).await;
    house.begin(&teller, 8);
    listen_until(&mut table, &mut theirs.from, 2).await;
    assert_eq!(table[&8], session(8));
    theirs.to.send(Directive::BoundUnsent { token: Token(8), bytes: None }).await.unwrap();
    drop(theirs);
    timeout(SOON, carry).await.expect("it ends when the other process does").unwrap();
    assert_eq!(*house.obeyed.lock(), [Directive::BoundUnsent { token: Token(8), bytes: None }]);
    drop(accept);
    assert!(!path.exists(), "the socket's file goes with who opened it");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_line_that_means_nothing_or_never_ends_ends_the_link() {
    use tokio::io::AsyncWriteExt as _;
    let directory = std::env::temp_dir().join(format!("anabranch-badlink-{}", std::process::id()));
    let path = directory.join("link.sock");
    let accept = listen(&path, None).unwrap().accept().unwrap();
    for bad in [b"{\"odd\":1}\n".to_vec(), vec![b'x'; 100_000]] {
        let (stream, theirs) = tokio::join!(tokio::net::UnixStream::connect(&path), accept.next());
        let (mut stream, mut theirs) = (stream.unwrap(), theirs);
        drop(stream.write_all(&bad).await);
        assert_eq!(timeout(SOON, theirs.from.recv()).await.expect("it ends"), None);
    }
    drop(accept);
    std::fs::remove_dir_all(directory).unwrap();
}
