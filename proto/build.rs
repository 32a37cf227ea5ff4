//! Generates code from the `.proto` files, without `protoc`: protox parses, tonic-prost-build writes.
//!
//! `gomera.v1` is generated more than once. The plain form is what the schema says. In the raw form every field of type
//! `Publication` is `bytes`: the same bytes on the wire, but a publication passes through undecoded and uncopied. Messages
//! without such a field exist once, in the plain form. In the served form, which is for servers only, a `NotificationFrame`
//! within a `SessionReply` is `bytes` too: what is delivered is written into it without a message in between.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

const PUBLIC: [&str; 2] = ["gomera/v1/pubsub.proto", "gomera/v1/cluster.proto"];
/// Somebody else's schema, which we serve.
const KEDA: &str = "keda/externalscaler.proto";
const LINK: &str = "gomera/link/v1/link.proto";
const PACKAGE: &str = "gomera.v1";
const PUBLICATION: &str = ".gomera.v1.Publication";
const NOTIFICATION_FRAME: &str = ".gomera.v1.NotificationFrame";

/// What holds a frame of notifications.
const SERVED: &str = "SessionReply";

/// Like the one of tonic-prost, but blames malformed messages on their sender.
const CODEC: &str = "crate::codec::Codec";

/// The messages that hold a publication, directly or within.
const RAW: [&str; 6] =
    ["PublishRequest", "PublishFrame", "PublishItem", "SessionReply", "NotificationFrame", "Notification"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=gomera");
    println!("cargo::rerun-if-changed=keda");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let public = compile(&PUBLIC)?;
    generate(&out.join("plain"), public.clone(), |builder| builder.bytes(".").btree_map(".").codec_path(CODEC))?;

    let keda = compile(&[KEDA])?;
    generate(&out.join("keda"), keda.clone(), |builder| builder.btree_map(".").codec_path(CODEC))?;

    let mut described = public.clone();
    described.file.extend(keda.file);
    described.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(out.join("descriptor.bin"), described.encode_to_vec())?;

    let public_for_served = public.clone();
    let mut raw = public;
    let mut elsewhere = Vec::new();
    for file in raw.file.iter_mut().filter(|file| file.package() == PACKAGE) {
        if file.name() != PUBLIC[0] {
            file.service.clear();
        }
        elsewhere.extend(file.enum_type.iter().map(|declared| declared.name().to_owned()));
        for message in &mut file.message_type {
            if RAW.contains(&message.name()) {
                fields_to_bytes(message, PUBLICATION);
            } else {
                elsewhere.push(message.name().to_owned());
            }
        }
    }
    generate(&out.join("raw"), raw, |builder| {
        elsewhere
            .iter()
            .fold(builder, |builder, name| {
                builder.extern_path(format!(".{PACKAGE}.{name}"), format!("crate::v1::{name}"))
            })
            .bytes(".")
            .btree_map(".")
            .codec_path(CODEC)
    })?;

    // For whoever serves sessions: frames of notifications come encoded.
    let mut served = public_for_served;
    let mut elsewhere = Vec::new();
    for file in served.file.iter_mut().filter(|file| file.package() == PACKAGE) {
        if file.name() != PUBLIC[0] {
            file.service.clear();
        }
        elsewhere.extend(file.enum_type.iter().map(|declared| format!("crate::v1::{}", declared.name())));
        for message in &mut file.message_type {
            match message.name() {
                SERVED => fields_to_bytes(message, NOTIFICATION_FRAME),
                name if RAW.contains(&name) => elsewhere.push(format!("crate::raw::{name}")),
                name => elsewhere.push(format!("crate::v1::{name}")),
            }
        }
    }
    generate(&out.join("served"), served, |builder| {
        elsewhere
            .iter()
            .fold(builder, |builder, path| {
                let name = path.rsplit("::").next().expect("a path has a last part");
                builder.extern_path(format!(".{PACKAGE}.{name}"), path)
            })
            .bytes(".")
            .btree_map(".")
            .codec_path(CODEC)
            .build_client(false)
    })?;

    generate(&out.join("link"), compile(&[LINK])?, |builder| {
        builder.bytes(".").extern_path(".gomera.v1", "crate::v1").codec_path(CODEC)
    })?;
    Ok(())
}

fn compile(files: &[&str]) -> Result<FileDescriptorSet, Box<dyn Error>> {
    Ok(protox::compile(files, ["."])?)
}

fn generate(
    out: &Path,
    descriptors: FileDescriptorSet,
    configure: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    configure(tonic_prost_build::configure().out_dir(out)).compile_fds(descriptors)?;
    Ok(())
}

/// Fields of message type `of` become `bytes`: the same on the wire.
fn fields_to_bytes(message: &mut DescriptorProto, of: &str) {
    for field in &mut message.field {
        if field.type_name() == of {
            field.set_type(Type::Bytes);
            field.type_name = None;
        }
    }
}
