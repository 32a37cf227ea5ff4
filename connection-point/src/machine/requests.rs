//! What clients ask, by what their connection is: each request to the part it belongs to, and an answer for those that do not
//! fit the state of the connection.

use std::sync::Arc;

use gomera_cluster::identity::{ConnectionId, Instance, Sequence, Tenant};

use super::ConnectionPoint;
use crate::client::{ClientRequest, Failure, PublishItem, RequestId};
use crate::failure::{self, NAME_BYTES_MAX};
use crate::publishers::Opening;
use crate::sessions::Attachable;

/// The request id under which a failure is told that answers no numbered request.
const UNNUMBERED: RequestId = RequestId(0);

/// What a connection is.
#[derive(Clone, Debug)]
enum Part {
    /// It has said nothing yet.
    Fresh(Tenant),
    /// It publishes.
    Publisher,
    /// It has a session.
    Session,
}

impl ConnectionPoint {
    pub(super) fn request(&mut self, connection: ConnectionId, request: ClientRequest) {
        match request {
            ClientRequest::OpenPublisher { publisher, instance } => {
                self.open_publisher(connection, publisher, instance);
            }
            ClientRequest::Publish { items, acknowledged_through } => {
                self.publish(connection, items, acknowledged_through);
            }
            ClientRequest::Attach { request, session: name, options, resume, attempt } => {
                self.attach(connection, request, |tenant| Attachable {
                    tenant,
                    request,
                    name,
                    options,
                    resume,
                    attempt,
                });
            }
            ClientRequest::Operate { request, operation } => {
                let Self { around, lanes, sessions, .. } = self;
                let result = sessions.operate(around, lanes, connection, request, operation);
                self.answer(connection, request, result);
            }
            ClientRequest::Acknowledge(through) => {
                let result = self.sessions.acknowledge(connection, &through);
                self.answer(connection, UNNUMBERED, result);
            }
            ClientRequest::Credit { notifications_total } => {
                let result = self.sessions.allow(&mut self.around, connection, notifications_total);
                self.answer(connection, UNNUMBERED, result);
            }
            ClientRequest::EndSession { request } => {
                let result = self.sessions.end(&mut self.around, connection, request);
                self.answer(connection, request, result);
            }
        }
    }

    fn part(&self, connection: ConnectionId) -> Option<Part> {
        if let Some(tenant) = self.fresh.get(&connection) {
            Some(Part::Fresh(tenant.clone()))
        } else if self.publishers.contains(connection) {
            Some(Part::Publisher)
        } else if self.sessions.name(connection).is_some() {
            Some(Part::Session)
        } else {
            None
        }
    }

    fn open_publisher(&mut self, connection: ConnectionId, name: Arc<str>, instance: Option<Instance>) {
        match self.part(connection) {
            Some(Part::Fresh(_)) if name.len() > NAME_BYTES_MAX => {
                self.close(connection, failure::name_too_long("publisher name", &name));
            }
            Some(Part::Fresh(tenant)) => {
                self.fresh.remove(&connection);
                let Self { around, lanes, publishers, .. } = self;
                publishers.open(around, lanes, connection, Opening { tenant, name, instance });
            }
            Some(Part::Publisher) => self.close(connection, failure::publisher_open_already()),
            Some(Part::Session) => self.fail(connection, UNNUMBERED, failure::connection_subscribes()),
            None => {}
        }
    }

    fn publish(&mut self, connection: ConnectionId, items: Vec<PublishItem>, acknowledged_through: Sequence) {
        let Self { around, lanes, publishers, .. } = self;
        if publishers.publish(around, lanes, connection, items, acknowledged_through) {
            return;
        }
        match self.part(connection) {
            Some(Part::Fresh(_)) => self.close(connection, failure::publisher_not_open()),
            Some(Part::Session) => self.fail(connection, UNNUMBERED, failure::connection_subscribes()),
            // It was closed, by this very request perhaps.
            Some(Part::Publisher) | None => {}
        }
    }

    fn attach(&mut self, connection: ConnectionId, request: RequestId, attachable: impl FnOnce(Tenant) -> Attachable) {
        let failed = match self.part(connection) {
            Some(Part::Fresh(tenant)) => match self.sessions.attach(&mut self.around, connection, attachable(tenant)) {
                Ok(()) => {
                    self.fresh.remove(&connection);
                    return;
                }
                Err(failure) => failure,
            },
            Some(Part::Publisher) => failure::connection_publishes(),
            Some(Part::Session) => failure::attached_already(self.sessions.name(connection).unwrap_or_default()),
            None => return,
        };
        self.fail(connection, request, failed);
    }

    /// Tells the client if a request on its session failed; sets right what «not attached» means on a connection that publishes.
    fn answer(&mut self, connection: ConnectionId, request: RequestId, result: Result<(), Failure>) {
        let Err(failed) = result else { return };
        match self.part(connection) {
            Some(Part::Publisher) => self.fail(connection, request, failure::connection_publishes()),
            Some(Part::Fresh(_) | Part::Session) => self.fail(connection, request, failed),
            None => {}
        }
    }

    fn fail(&mut self, connection: ConnectionId, request: RequestId, failure: Failure) {
        self.around.statistics.requests_failed += 1;
        self.around.output.fail(connection, request, failure);
    }

    fn close(&mut self, connection: ConnectionId, failure: Failure) {
        let Self { around, lanes, fresh, publishers, .. } = self;
        around.output.close(connection, Some(failure));
        around.statistics.connections_closed += 1;
        if fresh.remove(&connection).is_none() {
            publishers.remove(around, lanes, connection);
        }
    }
}
