//! Who is in which room.
