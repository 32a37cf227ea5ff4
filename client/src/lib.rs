//! Publish to a Gomera cluster, and subscribe to what is published by what it says.
//!
//! ```no_run
//! use gomera_client::{Client, Event, Publication};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(["http://127.0.0.1:7411"]).await?;
//!
//! let (session, mut deliveries) = client.session("dashboard").attach().await?;
//! session.subscribe("slow", "type = 'road' AND speed < 20").await?;
//!
//! let publisher = client.publisher("road-7").open().await?;
//! let publication = Publication {
//!     attributes: [("type", "road".into()), ("speed", 12.into())].into_iter().collect(),
//!     ..Publication::default()
//! };
//! publisher.publish(&publication).await?.await?; // it is in the outbox of every session it satisfies
//!
//! while let Some(event) = deliveries.next().await? {
//!     if let Event::Notification(notification) = event {
//!         println!("{:?}: {:?}", notification.subscriptions, notification.publication()?.attributes);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it takes care of:
//! - **Broken connections.** Publishers and sessions connect again, to any endpoint, with growing and jittered waits.
//!   Unacknowledged publications go again and are taken once; sessions go on where they were; requests that were not answered
//!   are repeated.
//! - **Exactly once.** A session keeps a number per lane of what it has received (`W`). While the process lives, no
//!   notification is lost or repeated. The next process resumes from what was acknowledged; what may repeat is flagged.
//! - **Lost sessions.** If the cluster does not know the session any more, its context and subscriptions are declared again,
//!   and the program is told by [`Event::Recreated`].
//! - **Bounded memory.** A publisher has a window ([`PublisherBuilder::window`]); a session grants the cluster as much as
//!   it has room for ([`SessionBuilder::window`]).
//!
//! Runs on tokio; a publisher or a session is one task.

mod backoff;
mod client;
mod connection;
mod error;
mod moving;
mod publisher;
mod session;
mod shape;
mod supervision;
mod wire;

pub use backoff::Reconnect;
pub use client::Client;
pub use error::{ConnectError, DecodeError, OperationError, PublishError, SessionError, ShapeError};
pub use gomera_cluster::session::SlowPolicy;
pub use gomera_model::{Attributes, GeoPoint, Publication, Timestamp, Value};
pub use gomera_proto::publication::encode_publication;
pub use gomera_proto::v1::operation::State as OperationState;
pub use gomera_proto::v1::{Layer, Operation, Topology};
pub use publisher::{Progress, Publisher, PublisherBuilder, Ticket};
pub use session::applied::Applied;
pub use session::builder::SessionBuilder;
pub use session::event::{Event, Gap, GapRange, Notification};
pub use session::machine::Acknowledgement;
pub use session::subscription::{Matching, Subscription, SubscriptionState};
pub use session::{Deliveries, Session};
pub use shape::{Earnest, Operations, Shape, ShapeRequest};
