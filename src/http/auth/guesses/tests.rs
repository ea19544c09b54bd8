use super::*;

fn client(last: u8) -> Client {
    Client::of([10, 0, 0, last].into())
}

/// Tries passwords one after another, each as soon as the one before is wrong. Returns their delays in milliseconds.
fn delays(guesses: &Arc<Guesses>, name: &str, client: Client, count: u32) -> Vec<u128> {
    let mut now = Instant::now();
    let mut delays = Vec::new();
    for _ in 0..count {
        let guess = guesses.begin(name, client, now).ok().unwrap();
        delays.push(guess.delay.as_millis());
        now += guess.delay;
        guess.failed(now);
    }
    delays
}

#[test]
fn each_wrong_password_beyond_the_free_ones_doubles_the_delay() {
    let guesses = Arc::new(Guesses::default());
    let expected = [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3000, 3000, 3000];
    assert_eq!(delays(&guesses, "alice", client(1), 13), expected);
    // Neither another name nor another client waits for that.
    assert_eq!(delays(&guesses, "bob", client(1), 5), [0; 5]);
    assert_eq!(delays(&guesses, "alice", client(2), 5), [0; 5]);
    let now = Instant::now();
    guesses.begin("bob", client(1), now).ok().unwrap().succeeded();
    assert_eq!(delays(&guesses, "bob", client(1), 5), [0; 5]);
}

#[test]
fn guesses_at_once_are_as_slow_as_one_after_another() {
    let guesses = Arc::new(Guesses::default());
    let now = Instant::now();
    let begun: Vec<_> =
        (0..400).filter_map(|_| guesses.begin("alice", client(1), now).ok()).collect();
    let delays: Vec<_> = begun.iter().map(|guess| guess.delay.as_millis()).collect();
    assert_eq!(delays, [0, 0, 0, 0, 0, 100, 300, 700, 1500]);
    assert_eq!(guesses.begin("alice", client(1), now).err(), Some(Duration::from_millis(3100)));
    // A name with a cluster is the same name.
    assert!(guesses.begin("alice@default_cluster", client(1), now).is_err());
    assert!(guesses.begin("alice", client(2), now).is_ok());
}

#[test]
fn a_client_has_a_budget_for_all_names_and_a_name_one_for_all_clients() {
    let guesses = Arc::new(Guesses::default());
    let now = Instant::now();
    let count_of = |guess: &dyn Fn(u32) -> Result<Guess, Duration>| {
        (0..100).take_while(|number| guess(*number).is_ok()).count()
    };
    let names = |number: u32| guesses.begin(&number.to_string(), client(1), now);
    assert_eq!(count_of(&names), 30);
    let clients = |number: u32| guesses.begin("alice", client(number as u8), now);
    // Without the client whose budget is used up.
    assert_eq!(count_of(&|number| clients(number + 2)), 20);
    // What is not verified is given back, as is the right password.
    let later = now + Duration::from_secs(1);
    for _ in 0..10 {
        guesses.begin("bob", client(1), later).ok().unwrap().withdrawn();
        guesses.begin("bob", client(1), later).ok().unwrap().succeeded();
    }
}

#[test]
fn the_log_gets_a_line_for_many_guesses() {
    let guesses = Arc::new(Guesses::default());
    let now = Instant::now();
    let fail = |now| guesses.begin("alice", client(1), now).ok().unwrap().failed(now);
    assert_eq!(fail(now), Some(Unlogged { wrong: 1, rejected: 0, omitted_lines: 0 }));
    assert_eq!(fail(now), None);
    assert_eq!(guesses.rejected(client(1), now), None);
    assert_eq!(
        fail(now + LOG_INTERVAL),
        Some(Unlogged { wrong: 2, rejected: 1, omitted_lines: 0 })
    );
}
