//! The plugin kind portable: supervised processes serving sources, sinks and functions
