//! Publishes three readings and waits until each is in the outbox of every session that it satisfies.
//! Usage: `publish [HOST:PORT]`

use gomera_client::{Client, Publication};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7411".into());
    let client = Client::connect([endpoint]).await?;
    let publisher = client.publisher("rust-example").open().await?;
    for speed in [55, 31, 12] {
        let attributes = [("type", "road".into()), ("road", "M-30".into()), ("speed", speed.into())];
        let publication = Publication { attributes: attributes.into_iter().collect(), ..Publication::default() };
        publisher.publish(&publication).await?.await?;
        println!("published speed {speed}");
    }
    Ok(())
}
