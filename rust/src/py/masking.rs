//! The frames of a client, each with a mask of its own.

use pyo3::prelude::*;

use super::deflate::Agreement;
use super::outbox::Item;
use crate::websocket::{Masks, Opcode, write_masked_frame};

/// How a client writes its frames.
#[derive(Debug, Default)]
pub(super) struct Masking {
    masks: Masks,
    /// Whether attachments are sent as text.
    base64: bool,
}

impl Masking {
    pub(super) fn new(base64: bool) -> Self {
        Self {
            masks: Masks::default(),
            base64,
        }
    }

    /// Write the frames of an item's messages behind the first `skip`.
    pub(super) fn write(
        &mut self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        item: &Item,
        skip: usize,
        agreement: Option<&Agreement>,
    ) -> PyResult<()> {
        let packet = match item {
            Item::Packet(packet) => packet.get(),
            Item::Text(text) => {
                let text = text.bind(py).to_str()?;
                self.frame(py, out, Opcode::Text, text.as_bytes(), None);
                return Ok(());
            }
        };
        let agreement = agreement.filter(|_| packet.compress);
        if !self.base64 {
            return packet.each_message(py, skip, |opcode, payload| {
                self.frame(py, out, opcode, payload, agreement);
            });
        }
        if skip == 0
            && let Some(text) = &packet.text
        {
            let text = text.bind(py).to_str()?;
            self.frame(py, out, Opcode::Text, text.as_bytes(), agreement);
        }
        for message in packet
            .binary_messages(py)
            .iter()
            .skip(skip.saturating_sub(packet.texts()))
        {
            self.frame(py, out, Opcode::Text, message, agreement);
        }
        Ok(())
    }

    fn frame(
        &mut self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        opcode: Opcode,
        payload: &[u8],
        agreement: Option<&Agreement>,
    ) {
        match agreement {
            Some(agreement) => {
                agreement.write_masked_frame(py, out, opcode, payload, &mut self.masks);
            }
            None => write_masked_frame(out, opcode, payload, false, self.masks.draw()),
        }
    }
}
