// Text in pictures does not wrap, so it is cut to what fits. No font is at hand to measure by: widths are
// estimated, on the safe side for the wide fonts that systems come with.

/// Measures and cuts text for pictures.
enum PictureText {
    /// An estimate of how wide a text is.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - size: The size of its font.
    /// - Returns: The width in the same unit.
    static func width(_ text: String, size: Double) -> Double {
        text.unicodeScalars.reduce(0) { $0 + advance($1) } * size
    }

    /// The text, cut with an ellipsis where it is wider than there is room.
    static func fitted(_ text: String, _ room: Double, size: Double) -> String {
        let text = Printable.text(text)
        guard width(text, size: size) > room else { return text }
        var cut = ""
        var left = room - advance("…") * size
        for character in text {
            left -= width(String(character), size: size)
            guard left >= 0 else { break }
            cut.append(character)
        }
        return cut + "…"
    }

    /// The text in lines that fit, the last one cut.
    static func lines(_ text: String, _ room: Double, size: Double, most: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        let words = Printable.text(text).split(separator: " ").map(String.init)
        for (place, word) in words.enumerated() {
            let longer = line.isEmpty ? word : line + " " + word
            if line.isEmpty || width(longer, size: size) <= room {
                line = longer
            } else if lines.count + 1 == most {
                line = ([line] + words[place...]).joined(separator: " ")
                break
            } else {
                lines.append(line)
                line = word
            }
        }
        return (lines + [line]).filter { !$0.isEmpty }.map { fitted($0, room, size: size) }
    }

    private static func advance(_ scalar: Unicode.Scalar) -> Double {
        switch scalar {
        case "i", "j", "l", ".", ",", ":", ";", "'", "|", "!", " ", "(", ")", "[", "]": 0.36
        case "m", "w", "M", "W", "@", "%": 0.95
        case "A"..."Z", "0"..."9": 0.68
        case "\u{20}"..."\u{24f}": 0.61
        // Wide letters of East Asia, and pictures.
        case "\u{1100}"..."\u{ffff}" where scalar.value >= 0x2e80, "\u{10000}"..."\u{10ffff}": 1.2
        default: 0.8
        }
    }
}
