"""Publishes one reading. Usage: python publish.py [HOST:PORT]"""
import pathlib, sys
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "proto"))  # where gomera/v1/*.proto are
import grpc

pubsub, services = grpc.protos_and_services("gomera/v1/pubsub.proto")
with grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7411") as channel:
    reading = pubsub.Publication(payload=b'{"type": "road", "road": "M-30", "speed": 12}')
    services.PubSubStub(channel).Publish(pubsub.PublishRequest(publisher="python", publication=reading))
print("published: it is in the outbox of every session that it satisfies")
