//! Sessions: what can be asked of them, who has them, and what the next process finds.

use std::time::Duration;

use gomera_client::{
    Acknowledgement, Attributes, Matching, OperationError, Publication, PublishError, SessionError, Subscription, Value,
};

use crate::{PATIENCE, client, cluster, next_notification, number, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_can_be_made_read_changed_paused_and_removed_and_each_answer_means_in_force() {
    let (cluster, address) = cluster().await;
    let client = client(address).await;
    let (session, mut deliveries) = client.session("s").attach().await.expect("attached");
    let publisher = client.publisher("p").open().await.expect("open");
    let publish = async |number| {
        publisher.publish(&numbered(number)).await.expect("taken").await.expect("acknowledged");
    };

    session.subscribe("a", "n = 1 or n = 2").await.expect("in force");
    session.subscribe("b", Subscription::new("n = $wanted").expires_after(PATIENCE)).await.expect("in force");
    let states = session.list(0, 10).await.expect("listed");
    assert_eq!(
        states.iter().map(|state| (&*state.id, &*state.filter)).collect::<Vec<_>>(),
        [("a", "n = 1 OR n = 2"), ("b", "n = $wanted")]
    );
    assert!(states[1].expires_after.is_some_and(|after| after <= PATIENCE), "{states:?}");
    let above = session.list(states[0].handle, 10).await.expect("listed");
    assert_eq!(above.iter().map(|state| state.handle).collect::<Vec<_>>(), [states[1].handle]);

    publish(1).await;
    let first = next_notification(&mut deliveries).await;
    assert_eq!(first.subscriptions.iter().map(|id| &**id).collect::<Vec<_>>(), ["a"]);
    let applied = session.update("a", "n = 3").await.expect("in force");
    assert!(!applied.judged(&first), "it came before");
    let context: Attributes = [("wanted", Value::Integer(3))].into_iter().collect();
    session.set_context(context).await.expect("in force");
    for number in [1, 2, 3] {
        publish(number).await;
    }
    let both = next_notification(&mut deliveries).await;
    assert_eq!((number(&both), both.satisfied, both.subscriptions.len()), (3, 2, 2));
    assert!(applied.judged(&both));

    session.set_matching("a", Matching::Paused).await.expect("in force");
    assert_eq!(session.get("a").await.expect("there").matching, Matching::Paused);
    session.unsubscribe("b").await.expect("in force");
    publish(3).await;
    session.set_matching("a", Matching::On).await.expect("in force");
    publish(3).await;
    let last = next_notification(&mut deliveries).await;
    assert_eq!((last.sequence, last.subscriptions.len()), (6, 1), "what came while it was paused is not kept");
    drop((session, deliveries, publisher));
    cluster.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_told_and_the_session_goes_on() {
    let (cluster, address) = cluster().await;
    let (session, deliveries) = client(address).await.session("s").attach().await.expect("attached");
    match session.subscribe("a", "n = = 1").await {
        Err(OperationError::Filter { offset: 4, message }) => assert!(message.contains('='), "{message}"),
        other => panic!("{other:?}"),
    }
    for missing in [
        session.update("a", "n = 1").await.map(drop),
        session.unsubscribe("a").await.map(drop),
        session.get("a").await.map(drop),
        session.set_matching("a", Matching::Paused).await.map(drop),
    ] {
        assert!(matches!(missing, Err(OperationError::NotFound(_))), "{missing:?}");
    }
    let dollar: Attributes = [("$here", Value::Integer(1))].into_iter().collect();
    assert!(matches!(session.set_context(dollar).await, Err(OperationError::Refused { .. })));
    assert!(session.subscribe("", "n = 1").await.is_err());
    session.subscribe("a", "n = 1").await.expect("it goes on");
    drop((session, deliveries));
    cluster.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_two_clients_with_one_session_name_has_it_and_the_other_stays_away() {
    let (cluster, address) = cluster().await;
    let (older, newer) = (client(address).await, client(address).await);
    let (first, mut first_deliveries) = older.session("s").attach().await.expect("attached");
    first.subscribe("mine", "n > 0").await.expect("in force");
    let (second, mut second_deliveries) = newer.session("s").attach().await.expect("attached");
    let superseded = tokio::time::timeout(PATIENCE, first_deliveries.next()).await.expect("it is told");
    assert!(matches!(superseded, Err(SessionError::Superseded(_))), "{superseded:?}");
    assert!(first.subscribe("more", "n > 0").await.is_err());

    let publisher = newer.publisher("p").open().await.expect("open");
    publisher.publish(&numbered(1)).await.expect("taken").await.expect("acknowledged");
    let notification = next_notification(&mut second_deliveries).await;
    assert_eq!(&*notification.subscriptions[0], "mine", "it learned what the other had subscribed");
    assert_eq!(second.name(), "s");
    drop((second, second_deliveries, publisher));
    cluster.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_gets_what_was_not_acknowledged_flagged_and_what_was_not_delivered() {
    let (cluster, address) = cluster().await;
    let client = client(address).await;
    let publisher = client.publisher("p").open().await.expect("open");
    let attach = async || {
        let builder = client.session("s").acknowledgement(Acknowledgement::Manual);
        builder.attach().await.expect("attached")
    };
    let (session, mut deliveries) = attach().await;
    session.subscribe("all", "n > 0").await.expect("in force");
    for number in 1..=4 {
        publisher.publish(&numbered(number)).await.expect("taken").await.expect("acknowledged");
    }
    let mut received = Vec::new();
    for _ in 0..4 {
        received.push(next_notification(&mut deliveries).await);
    }
    session.acknowledge(&received[1]);
    session.detach().await;
    drop((session, deliveries));
    publisher.publish(&numbered(5)).await.expect("taken").await.expect("acknowledged");

    let (session, mut deliveries) = attach().await;
    let mut again = Vec::new();
    for _ in 0..3 {
        let notification = next_notification(&mut deliveries).await;
        assert_eq!(&*notification.subscriptions[0], "all");
        again.push((number(&notification), notification.redelivered));
    }
    assert_eq!(again[..2], [(3, true), (4, true)]);
    assert_eq!(again[2].0, 5, "it came after the detach; whether it had been sent before that was known, it may say");
    session.end().await.expect("ended");
    assert!(matches!(deliveries.next().await, Ok(None)));
    let (session, _deliveries) = attach().await;
    assert_eq!(session.list(0, 10).await.expect("listed"), [], "what was ended is gone");
    drop(session);
    drop(publisher);
    cluster.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_is_not_taken_is_told_by_its_ticket_and_the_publisher_goes_on() {
    let (cluster, address) = cluster().await;
    let publisher = client(address).await.publisher("p").open().await.expect("open");
    let payload = |bytes: usize| Publication { payload: vec![0; bytes].into(), ..Publication::default() };
    let refused = publisher.publish(&payload(2 << 20)).await.expect("the cluster decides").await;
    assert!(matches!(refused, Err(PublishError::Refused { .. })), "{refused:?}");
    let larger = publisher.publish(&payload(5 << 20)).await.expect_err("it would end the publisher");
    assert!(matches!(&larger, PublishError::Invalid(reason) if reason.contains("must have at most")), "{larger}");
    let attributes: Attributes = [("gomera.time", Value::Integer(1))].into_iter().collect();
    let reserved = publisher.publish(&Publication { attributes, ..Publication::default() }).await;
    assert!(matches!(reserved, Err(PublishError::Invalid(_))), "{reserved:?}");
    let nonsense = publisher.publish_encoded(vec![0xff; 16].into()).await.expect("not looked at here").await;
    assert!(matches!(nonsense, Err(PublishError::Refused { .. })), "{nonsense:?}");
    publisher.flush().await.expect("those were told by their tickets");
    publisher.submit_encoded(vec![0xff; 16].into()).await.expect("not looked at here");
    assert!(publisher.flush().await.is_err(), "nobody was told of this one");
    publisher.publish(&numbered(1)).await.expect("taken").await.expect("it goes on");
    assert_eq!(publisher.progress().borrow().refused, 3);
    drop(publisher);
    cluster.stop(Duration::from_secs(1)).await;
}
