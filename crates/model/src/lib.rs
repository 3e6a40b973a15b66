//! Names, digests, quantities, findings and problem codes that everything in Plugyard speaks
