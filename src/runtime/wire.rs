//! Protocol Buffers on the wire (encoding of proto3): fields of a message, read without a copy, and written.

/// A field of a message.
pub(super) struct Field<'m> {
    pub(super) number: u32,
    /// All of its bytes, the key too.
    pub(super) whole: &'m [u8],
    pub(super) value: Value<'m>,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// 4 or 8 bytes of a fixed length, which no field here has that is read.
    Fixed,
}

impl<'m> Field<'m> {
    pub(super) fn number(&self) -> Option<u64> {
        if let Value::Number(number) = self.value { Some(number) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'m [u8]> {
        if let Value::Bytes(bytes) = self.value { Some(bytes) } else { None }
    }

    pub(super) fn text(&self) -> Option<&'m str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Adds the number, or all of them where they are packed.
    pub(super) fn numbers(&self, out: &mut Vec<i64>) -> Option<()> {
        match self.value {
            Value::Number(number) => out.push(number as i64),
            Value::Bytes(mut rest) => {
                while !rest.is_empty() {
                    out.push(varint(&mut rest)? as i64);
                }
            }
            Value::Fixed => return None,
        }
        Some(())
    }
}

/// The fields of a message in order; `None` for bytes that are not a message, or one that was cut off.
pub(super) fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    Fields::of(message).collect()
}

/// The fields of a message, one by one: none of them is kept. It ends with `None` where the bytes are no message.
#[derive(Clone)]
pub(super) struct Fields<'m> {
    rest: &'m [u8],
}

impl<'m> Fields<'m> {
    pub(super) fn of(message: &'m [u8]) -> Self {
        Fields { rest: message }
    }

    fn field(&mut self) -> Option<Field<'m>> {
        let start = self.rest;
        let rest = &mut self.rest;
        let key = varint(rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0)?;
        let value = match key & 7 {
            0 => Value::Number(varint(rest)?),
            1 => take(rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(rest)?;
                Value::Bytes(take(rest, usize::try_from(length).ok()?)?)
            }
            5 => take(rest, 4).map(|_| Value::Fixed)?,
            // Groups, which proto3 does not have.
            _ => return None,
        };
        Some(Field { number, whole: &start[..start.len() - rest.len()], value })
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Option<Field<'m>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let taken;
    (taken, *rest) = rest.split_at_checked(length)?;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        // Of the tenth byte one bit is left.
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn write_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Writes a field of bytes, or of text, or of a message.
pub(super) fn push(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    write_varint(message, u64::from(number) << 3 | 2);
    write_varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

/// Writes a field of text, unless it is empty: then it is not there.
pub(super) fn push_text(message: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        push(message, number, text.as_bytes());
    }
}

/// Writes a field of a number.
pub(super) fn push_number(message: &mut Vec<u8>, number: u32, value: i64) {
    write_varint(message, u64::from(number) << 3);
    write_varint(message, value as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = [0, 1, 127, 128, 300, i64::MAX, -1, i64::MIN];
        let mut message = Vec::new();
        numbers.iter().for_each(|&n| push_number(&mut message, 1, n));
        push_text(&mut message, 2, "grün");
        push_text(&mut message, 3, "");
        let mut packed = Vec::new();
        numbers.iter().for_each(|&n| write_varint(&mut packed, n as u64));
        push(&mut message, 536_870_911, &packed);
        let fields = fields(&message).unwrap();
        let (mut single, mut together) = (Vec::new(), Vec::new());
        fields.iter().filter(|f| f.number == 1).for_each(|f| f.numbers(&mut single).unwrap());
        fields.last().unwrap().numbers(&mut together).unwrap();
        assert_eq!((&single[..], &together[..]), (&numbers[..], &numbers[..]));
        assert_eq!(fields[numbers.len()].text(), Some("grün"));
        assert_eq!(fields.iter().flat_map(|f| f.whole).copied().collect::<Vec<_>>(), message);
        // 300 as the specification's example has it.
        assert!(message.windows(3).any(|bytes| bytes == [0x08, 0xac, 0x02]));
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        let bad: [&[u8]; 7] = [
            &[0x08],                                                      // no number
            &[0x0a, 5, 1],                                                // cut off
            &[0x00, 1],                                                   // field 0
            &[0x0b],                                                      // a group
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],      // more than 64 bits
            &[0x08, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0], // more than ten bytes
            &[0x0d, 1, 2, 3],                                             // 4 bytes cut off
        ];
        bad.iter().for_each(|bytes| assert!(fields(bytes).is_none(), "{bytes:?}"));
        assert!(fields(&[0x0d, 1, 2, 3, 4]).is_some_and(|f| matches!(f[0].value, Value::Fixed)));
    }
}
