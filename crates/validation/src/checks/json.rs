//! Whether a text is JSON, as PHP's `json_validate` judges.

/// How many arrays and objects may lie in each other.
const DEPTH: usize = 511;

/// Whether a text is one JSON value of RFC 8259, with surrounding white space.
pub(super) fn is_valid(text: &str) -> bool {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    reader.document().is_some()
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

/// What a container expects next.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Array,
    Object,
}

impl Reader<'_> {
    /// Reads everything without recursion, so that depth costs no stack.
    fn document(&mut self) -> Option<()> {
        let mut open = Vec::new();
        'value: loop {
            self.space();
            match self.bytes.get(self.at)? {
                b'[' => {
                    self.at += 1;
                    open.push(Open::Array);
                    self.space();
                    if self.bytes.get(self.at) != Some(&b']') {
                        Self::bounded(&open)?;
                        continue;
                    }
                }
                b'{' => {
                    self.at += 1;
                    open.push(Open::Object);
                    self.space();
                    if self.bytes.get(self.at) != Some(&b'}') {
                        Self::bounded(&open)?;
                        self.key()?;
                        continue;
                    }
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.word()?,
            }
            Self::bounded(&open)?;
            loop {
                self.space();
                match (open.last(), self.bytes.get(self.at)) {
                    (None, None) => return Some(()),
                    (Some(Open::Array), Some(b']')) | (Some(Open::Object), Some(b'}')) => {
                        self.at += 1;
                        open.pop();
                    }
                    (Some(Open::Array), Some(b',')) => {
                        self.at += 1;
                        continue 'value;
                    }
                    (Some(Open::Object), Some(b',')) => {
                        self.at += 1;
                        self.space();
                        self.key()?;
                        continue 'value;
                    }
                    _ => return None,
                }
            }
        }
    }

    fn bounded(open: &[Open]) -> Option<()> {
        (open.len() <= DEPTH).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn key(&mut self) -> Option<()> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        self.string()?;
        self.space();
        self.expect(b':')
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn word(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        let word = ["true", "false", "null"]
            .iter()
            .find(|word| rest.starts_with(word.as_bytes()))?;
        self.at += word.len();
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = *self.bytes.get(self.at)?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => match self.unit()? {
                            0xD800..=0xDBFF => {
                                self.expect(b'\\')?;
                                self.expect(b'u')?;
                                if !(0xDC00..=0xDFFF).contains(&self.unit()?) {
                                    return None;
                                }
                            }
                            0xDC00..=0xDFFF => return None,
                            _ => {}
                        },
                        _ => return None,
                    }
                }
                0..=0x1F => return None,
                _ => {}
            }
        }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit * 16 + char::from(*digit).to_digit(16)?)
        })
    }
}
