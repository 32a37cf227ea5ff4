//! Walks over the fields of a protobuf message (protobuf.dev, «Encoding») without copying. Every read is checked; a walk
//! never goes deeper than its caller asks, so that input cannot exhaust the stack.

/// Bytes that are no protobuf message of the type expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field says it is longer than what there is.
    #[error("it ends within field {field}")]
    Truncated {
        /// The field, 0 if its number is cut.
        field: u32,
    },
    /// A variable-length integer of more than 64 bits.
    #[error("field {field} has an integer of more than 64 bits")]
    Varint {
        /// The field, 0 if it is its number.
        field: u32,
    },
    /// A field number or wire type that does not exist.
    #[error("it has a field with the key {key}, which is none")]
    Key {
        /// As read.
        key: u64,
    },
    /// A wire type that the field cannot have.
    #[error("field {field} has another wire type than {expected}")]
    WireType {
        /// The field.
        field: u32,
        /// What it must be.
        expected: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("field {field} is not UTF-8")]
    Text {
        /// The field.
        field: u32,
    },
}

/// A field's content, its wire type known but not yet its type.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    number: u32,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub fn varint(self) -> Result<u64, Malformed> {
        match self.content {
            Content::Varint(value) => Ok(value),
            Content::Fixed64(_) | Content::Fixed32 | Content::Bytes(_) => Err(self.other("varint")),
        }
    }

    /// An `int32`: the low 32 bits, as protobuf has it.
    pub fn int32(self) -> Result<i32, Malformed> {
        let low = self.varint()? & u64::from(u32::MAX);
        Ok(u32::try_from(low).expect("masked to 32 bits").cast_signed())
    }

    pub fn fixed64(self) -> Result<u64, Malformed> {
        match self.content {
            Content::Fixed64(value) => Ok(value),
            Content::Varint(_) | Content::Fixed32 | Content::Bytes(_) => Err(self.other("64-bit")),
        }
    }

    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Varint(_) | Content::Fixed64(_) | Content::Fixed32 => Err(self.other("length-delimited")),
        }
    }

    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Text { field: self.number })
    }

    pub fn message(self) -> Result<Reader<'a>, Malformed> {
        self.bytes().map(Reader::new)
    }

    fn other(self, expected: &'static str) -> Malformed {
        Malformed::WireType { field: self.number, expected }
    }
}

/// Reads the fields of one message in order.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field and its number; `None` at the end. Groups (proto2) are passed over.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (number, wire_type) = self.key()?;
            let content = match wire_type {
                0 => Content::Varint(self.varint(number)?),
                1 => Content::Fixed64(u64::from_le_bytes(self.take(number)?)),
                2 => Content::Bytes(self.delimited(number)?),
                3 => {
                    self.skip_group(number)?;
                    continue;
                }
                5 => {
                    self.take::<4>(number)?;
                    Content::Fixed32
                }
                _ => return Err(Malformed::Key { key: u64::from(number) << 3 | wire_type }),
            };
            return Ok(Some((number, Field { number, content })));
        }
    }

    /// Whether a field of this number stands in what is left.
    pub fn has(mut self, wanted: u32) -> Result<bool, Malformed> {
        while let Some((number, _)) = self.field()? {
            if number == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u64), Malformed> {
        let key = self.varint(0)?;
        match u32::try_from(key) {
            Ok(small) if small >> 3 > 0 => Ok((small >> 3, key & 7)),
            Ok(_) | Err(_) => Err(Malformed::Key { key }),
        }
    }

    #[inline]
    fn varint(&mut self, field: u32) -> Result<u64, Malformed> {
        // The frequent case: one byte.
        if let [first @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && byte > 1 {
                return Err(Malformed::Varint { field });
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { Malformed::Truncated { field } } else { Malformed::Varint { field } })
    }

    #[inline]
    fn take<const N: usize>(&mut self, field: u32) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated { field })?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn delimited(&mut self, field: u32) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint(field)?).map_err(|_| Malformed::Truncated { field })?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Groups nest; a counter stands for the stack, since the numbers of inner groups need not be checked to pass over.
    fn skip_group(&mut self, outer: u32) -> Result<(), Malformed> {
        let mut open = vec![outer];
        while let Some(&innermost) = open.last() {
            if self.rest.is_empty() {
                return Err(Malformed::Truncated { field: outer });
            }
            let (number, wire_type) = self.key()?;
            match wire_type {
                0 => drop(self.varint(number)?),
                1 => drop(self.take::<8>(number)?),
                2 => drop(self.delimited(number)?),
                3 if open.len() < GROUPS_MAX => open.push(number),
                4 if number == innermost => drop(open.pop()),
                5 => drop(self.take::<4>(number)?),
                _ => return Err(Malformed::Key { key: u64::from(number) << 3 | wire_type }),
            }
        }
        Ok(())
    }
}

/// As prost nests at most.
const GROUPS_MAX: usize = 100;
