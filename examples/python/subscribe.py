"""Prints what satisfies a filter. Usage: python subscribe.py FILTER [COUNT] [HOST:PORT]"""
import itertools, pathlib, sys
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "proto"))  # where gomera/v1/*.proto are
import grpc

pubsub, services = grpc.protos_and_services("gomera/v1/pubsub.proto")
with grpc.insecure_channel(sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1:7411") as channel:
    request = pubsub.ListenRequest(filter=pubsub.FilterSource(text=sys.argv[1]))
    notifications = services.PubSubStub(channel).Listen(request)
    notifications.initial_metadata()  # comes when the subscription is in force
    print("subscribed", flush=True)
    for notification in itertools.islice(notifications, int(sys.argv[2]) if len(sys.argv) > 2 else None):
        print(notification.publisher, notification.publication.payload.decode(), flush=True)
