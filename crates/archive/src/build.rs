//! A builder of archives byte by byte, sound or broken in one place.
