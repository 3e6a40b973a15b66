//! What somebody may have meant.

/// Words longer than this are not compared: nothing here is.
const COMPARED_MAX: usize = 64;

/// The known word that is nearest, at most two edits away; the first of several.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > COMPARED_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&lower, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 2 && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The type that people mean by another word for it.
pub(super) fn field_type(word: &str) -> Option<&'static str> {
    let word = word.trim().to_lowercase();
    Some(match word.as_str() {
        "boolean" | "bool" | "switch" | "toggle" => "checkbox",
        "string" | "input" => "text",
        "integer" | "int" | "float" | "numeric" => "number",
        "dropdown" | "enum" | "radio" => "select",
        "secret" => "password",
        "multiline" => "textarea",
        // Types of other systems that none of ours stands for.
        "button" | "data_table" | "json" | "file" | "array" | "date" | "color" => return None,
        other => return nearest(other, super::structure::TYPES),
    })
}
