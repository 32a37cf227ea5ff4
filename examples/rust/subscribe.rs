//! Prints what satisfies a filter. Usage: `subscribe FILTER [COUNT] [HOST:PORT]`

use gomera_client::{Client, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let filter = arguments.next().ok_or("usage: subscribe FILTER [COUNT] [HOST:PORT]")?;
    let mut left: u64 = arguments.next().map_or(Ok(u64::MAX), |count| count.parse())?;
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:7411".into());

    let client = Client::connect([endpoint]).await?;
    let (session, mut deliveries) = client.session("").attach().await?;
    session.subscribe("mine", filter).await?;
    println!("subscribed");
    while left > 0 {
        match deliveries.next().await? {
            Some(Event::Notification(notification)) => {
                println!("{} {:?}", notification.publisher, notification.publication()?.attributes);
                left -= 1;
            }
            Some(Event::Gap(gap)) => println!("{} notifications were given up", gap.dropped),
            Some(other) => println!("{other:?}"),
            None => break,
        }
    }
    session.end().await?;
    Ok(())
}
