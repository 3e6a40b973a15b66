//! The HTTP server: assembles the routes of platform, flow and kinds
