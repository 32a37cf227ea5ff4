"""Does what grpcurl does: learns the schema from the server and sends JSON. Usage: python reflection.py HOST:PORT

The requests are those of the README.
"""
import json
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(sys.argv[1])
database = ProtoReflectionDescriptorDatabase(channel)
print("services", sorted(database.get_services()), flush=True)
service = DescriptorPool(database).FindServiceByName("gomera.v1.PubSub")


def call(name, request):
    method = service.methods_by_name[name]
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    return kind(
        f"/{service.full_name}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(json_format.ParseDict(request, GetMessageClass(method.input_type)()), timeout=30)


heard = call("Listen", {"filter": {"text": "type = 'road' AND speed < 20"}})
heard.initial_metadata()  # comes when the subscription is in force
call("Publish", {"publisher": "shell", "publication": {
    "attributes": {"type": {"string": "road"}, "speed": {"integer": "12"}}}})
print(json.dumps(json_format.MessageToDict(next(heard))), flush=True)
heard.cancel()
