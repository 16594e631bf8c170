//! What a packet may measure. Units, sources and the behaviour at each limit stand in `roomcast.types.Limits`.

/// The limits that the codec applies itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attachments of one packet.
    pub max_attachments: u32,
    /// Bytes of a packet with its attachments.
    pub max_packet_size: usize,
    /// Levels of lists and objects.
    pub max_depth: u32,
    /// Values in one packet, keys not counted.
    pub max_values: u32,
    /// Digits of an integer.
    pub max_int_digits: usize,
    /// The largest acknowledgement id.
    pub max_ack_id: u64,
    /// Bytes of the name of a namespace.
    pub max_namespace_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_packet_size: 11_000_000,
            max_depth: 200,
            max_values: 250_000,
            max_int_digits: 4_300,
            max_ack_id: (1 << 53) - 1,
            max_namespace_length: 256,
        }
    }
}
