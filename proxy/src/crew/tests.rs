use super::*;

/// A crew whose workers have so many sessions; the tokens are the sessions.
fn crew(sessions: &[usize]) -> (Crew, Vec<Post>, Vec<TaskTrackerToken>) {
    let (crew, posts) = Crew::new(sessions.len());
    let tokens = posts.iter().zip(sessions).flat_map(|(post, count)| (0..*count).map(|_| post.sessions.token()));
    let tokens = tokens.collect();
    (crew, posts, tokens)
}

fn goes_to(sessions: &[usize]) -> Option<usize> {
    let (crew, _posts, _tokens) = crew(sessions);
    crew.less_busy(0).map(|(worker, _)| worker)
}

#[test]
fn a_worker_alone_or_hardly_busier_than_the_others_keeps_what_it_accepts() {
    for sessions in [&[0][..], &[900], &[0, 0], &[1, 0], &[2, 1], &[3, 9], &[100, 87], &[0, 7, 7]] {
        assert_eq!(goes_to(sessions), None, "{sessions:?}");
    }
}

#[test]
fn one_that_is_clearly_busier_gives_to_the_least_busy() {
    for (sessions, least) in [(&[2, 0][..], 1), (&[6, 3], 1), (&[101, 86], 1), (&[9, 4, 3, 5], 2), (&[9, 4, 3, 0], 3)] {
        assert_eq!(goes_to(sessions), Some(least), "{sessions:?}");
    }
}

#[test]
fn one_that_has_ended_gets_nothing() {
    let (crew, mut posts, _tokens) = crew(&[90, 0, 20]);
    posts[1].handed.close();
    assert_eq!(crew.less_busy(0).map(|(worker, _)| worker), Some(2));
    posts[2].handed.close();
    assert!(crew.less_busy(0).is_none());
}

#[test]
fn what_is_handed_over_counts_before_anybody_takes_it_in() {
    let (crew, posts, _tokens) = crew(&[8, 0]);
    let mut on_their_way = Vec::new();
    while let Some((worker, counted)) = crew.less_busy(0) {
        assert_eq!(worker, 1);
        on_their_way.push(counted);
    }
    assert_eq!(posts[1].sessions.len(), 6, "as many as make the difference usual, though nobody serves them");
}
