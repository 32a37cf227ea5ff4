//! The gRPC codec of the public interface: prost, but a message that does not decode is the sender's fault
//! (`INVALID_ARGUMENT`), not ours (`INTERNAL`, what tonic-prost answers).

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Encodes `Encoded` and decodes `Decoded` with prost.
#[derive(Debug, Clone)]
pub struct Codec<Encoded, Decoded> {
    types: PhantomData<(Encoded, Decoded)>,
}

impl<Encoded, Decoded> Default for Codec<Encoded, Decoded> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

/// What a stream collects before it is handed to HTTP/2, and what is added to the read buffer at a time: large enough that
/// batches of small publications cost few calls, small enough for thousands of idle connections (buffers grow on use).
fn buffer() -> BufferSettings {
    BufferSettings::new(8 * 1024, 64 * 1024)
}

impl<Encoded, Decoded> tonic::codec::Codec for Codec<Encoded, Decoded>
where
    Encoded: Message + Send + 'static,
    Decoded: Message + Default + Send + 'static,
{
    type Encode = Encoded;
    type Decode = Decoded;
    type Encoder = ProstEncoder<Encoded>;
    type Decoder = ProstDecoder<Decoded>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder { types: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder { types: PhantomData }
    }
}

/// The encoding half.
#[derive(Debug)]
pub struct ProstEncoder<Encoded> {
    types: PhantomData<Encoded>,
}

impl<Encoded: Message> Encoder for ProstEncoder<Encoded> {
    type Item = Encoded;
    type Error = Status;

    fn encode(&mut self, item: Encoded, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).expect("the buffer of tonic grows");
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer()
    }
}

/// The decoding half.
#[derive(Debug)]
pub struct ProstDecoder<Decoded> {
    types: PhantomData<Decoded>,
}

impl<Decoded: Message + Default> Decoder for ProstDecoder<Decoded> {
    type Item = Decoded;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Decoded>, Status> {
        Decoded::decode(from)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("the message does not decode: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer()
    }
}
