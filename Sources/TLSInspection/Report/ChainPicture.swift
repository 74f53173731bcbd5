// The chain as a picture: a box for each certificate with its key, a bar of its validity and the verdict on
// it, from the leaf to the anchor. There are two drawings of one chain: across for wide pages, down for
// phones and paper; the style shows one of them.

import Sockets

/// Draws a chain.
struct ChainPicture {
    /// How the boxes stand.
    private enum Way: String { case across, down }

    private static let box = (width: 254.0, height: 152.0)
    private static let gap = (across: 68.0, down: 40.0)
    private static let inset = 16.0
    /// Boxes that fit beside each other.
    private static let mostAcross = 3

    private let links: ChainLinks
    private let now: UnixTime
    private let verdict: String

    /// Makes the picture.
    ///
    /// - Parameters:
    ///   - report: Whose chain it is.
    ///   - now: When it is looked at.
    init(_ report: InspectionReport, at now: UnixTime) {
        links = ChainLinks(report)
        self.now = now
        let isTrusted = report.verify?.trusted == true
        verdict = isTrusted ? "The chain is trusted." : "The chain is not trusted."
    }

    /// The drawings; nothing without certificates.
    var markup: HTML {
        guard !links.boxes.isEmpty else { return "" }
        // A chain that is too long for the width goes down on every page.
        let ways: [Way] = links.boxes.count <= Self.mostAcross ? [.across, .down] : [.down]
        let drawings = ways.map(drawing)
        return "<div class=\"card picture\">\n\(drawings.joined(by: "\n"))\n</div>"
    }

    private func drawing(_ way: Way) -> HTML {
        let count = Double(links.boxes.count)
        let isAcross = way == .across
        let step = isAcross ? Self.box.width + Self.gap.across : Self.box.height + Self.gap.down
        let span = step * count - (isAcross ? Self.gap.across : Self.gap.down)
        let (width, height) =
            isAcross ? (span + 4, Self.box.height + 4) : (Self.box.width + 4, span + 4)
        var contents = HTML.nothing
        for (place, box) in links.boxes.enumerated() {
            let offset = 2 + step * Double(place)
            let (x, y) = isAcross ? (offset, 2) : (2, offset)
            contents += "<g transform=\"translate(\(x) \(y))\">\(drawn(box))</g>\n"
            guard let joint = links.joints[place] else { continue }
            contents += isAcross ? arrowAcross(joint, x + Self.box.width) : arrowDown(joint, y)
        }
        return """
            <svg class="\(way.rawValue)" viewBox="0 0 \(width) \(height)" role="img" \
            aria-labelledby="chain-\(way.rawValue)-t chain-\(way.rawValue)-d">
            <title id="chain-\(way.rawValue)-t">Certificate chain</title>
            <desc id="chain-\(way.rawValue)-d">\(words)</desc>
            \(contents)</svg>
            """
    }

    // MARK: Boxes

    private func drawn(_ box: ChainLinks.Box) -> HTML {
        let inset = Self.inset
        let room = Self.box.width - 2 * inset
        let dashes = box.isAbsent ? " dashed" : ""
        var rows: HTML = """
            <rect class="box \(box.tone.rawValue)\(dashes)" width="\(Self.box.width)" \
            height="\(Self.box.height)" rx="9"/>
            <text class="small dim" x="\(inset)" y="23">\
            \(PictureText.fitted(box.role.uppercased(), room - 20, size: 11))</text>
            <text class="tone right \(box.tone.rawValue)" x="\(Self.box.width - inset)" y="24">\
            \(box.tone.sign)</text>
            <text class="name" x="\(inset)" y="46">\
            \(PictureText.fitted(box.title, room, size: 15.5))</text>

            """
        if let certificate = box.certificate {
            rows += line(box.detail, 66, "dim", room)
            rows += life(certificate, room)
        } else {
            let lines = PictureText.lines(box.detail, room, size: 12, most: 4)
            for (place, text) in lines.enumerated() {
                rows += line(text, 68 + 18 * Double(place), box.tone.rawValue + " tone", room)
            }
        }
        if let verdict = box.verdict {
            let words = "\(verdict.tone.sign) \(verdict.words)"
            rows += line(words, 140, "tone \(verdict.tone.rawValue)", room)
        }
        return rows
    }

    private func line(_ text: String, _ y: Double, _ style: String, _ room: Double) -> HTML {
        let size = style.contains("tone") ? 12.8 : 12
        return """
            <text class="\(style)" x="\(Self.inset)" y="\(y)">\
            \(PictureText.fitted(text, room, size: size))</text>

            """
    }

    /// A bar from the first to the last second, of which what is left is coloured.
    private func life(_ certificate: CertificateReport, _ room: Double) -> HTML {
        let (x, y) = (Self.inset, 78.0)
        let part = elapsed(certificate)
        let left = certificate.daysLeft
        let words =
            left < 0
            ? "expired \(Spans.days(-left)) ago"
            : part == 0 && now < certificate.notBeforeTime
                ? "not valid yet" : Spans.days(left) + " left"
        let tone = now < certificate.notBeforeTime ? Tone.bad : certificate.lifeTone
        return """
            <rect class="track" x="\(x)" y="\(y)" width="\(room)" height="8" rx="4"/>
            <rect class="left \(tone.rawValue)" x="\(x + room * part)" y="\(y)" \
            width="\(room * (1 - part))" height="8" rx="4"/>
            <line class="now" x1="\(x + room * part)" y1="\(y - 3)" \
            x2="\(x + room * part)" y2="\(y + 11)"/>
            <text class="small dim" x="\(x)" y="\(y + 24)">\(certificate.notBefore.prefix(10))</text>
            <text class="small dim right" x="\(x + room)" y="\(y + 24)">\
            \(certificate.notAfter.prefix(10))</text>
            <text class="tone \(tone.rawValue)" x="\(x)" y="\(y + 42)">\(words)</text>

            """
    }

    /// How much of the validity has passed, 0...1.
    private func elapsed(_ certificate: CertificateReport) -> Double {
        let begin = Double(certificate.notBeforeTime.seconds)
        let end = Double(certificate.notAfterTime.seconds)
        guard end > begin else { return 1 }
        return min(1, max(0, (Double(now.seconds) - begin) / (end - begin)))
    }

    // MARK: Joints

    private func arrowAcross(_ joint: ChainLinks.Joint, _ x: Double) -> HTML {
        let (y, end) = (Self.box.height / 2, x + Self.gap.across)
        let middle = (x + end) / 2
        return """
            <g class="\(joint.tone.rawValue)">\
            <text class="small middle" x="\(middle)" y="\(y - 10)">\(joint.words)</text>\
            <path class="wire" d="M\(x + 5) \(y)H\(end - 11)"/>\
            <path class="head" d="M\(end - 4) \(y)l-9 -5v10z"/>\
            <text class="tone middle" x="\(middle)" y="\(y + 19)">\(joint.tone.sign)</text></g>

            """
    }

    private func arrowDown(_ joint: ChainLinks.Joint, _ top: Double) -> HTML {
        let (x, y) = (Self.inset + 16, top + Self.box.height)
        return """
            <g class="\(joint.tone.rawValue)">\
            <path class="wire" d="M\(x) \(y + 4)V\(y + Self.gap.down - 11)"/>\
            <path class="head" d="M\(x) \(y + Self.gap.down - 4)l-5 -9h10z"/>\
            <text class="tone" x="\(x + 14)" y="\(y + 24)">\(joint.tone.sign)</text>\
            <text x="\(x + 30)" y="\(y + 24)">\(joint.words)</text></g>

            """
    }

    // MARK: Words

    /// The picture for those who hear it.
    private var words: String {
        let boxes = links.boxes.map { box in
            var parts = [box.role.isEmpty ? box.title : "\(box.role): \(box.title)", box.detail]
            if let certificate = box.certificate {
                parts.append("valid until \(certificate.notAfter.prefix(10))")
                parts.append(
                    certificate.daysLeft < 0
                        ? "expired" : Spans.days(certificate.daysLeft) + " left"
                )
            }
            if let verdict = box.verdict { parts.append(verdict.words) }
            return parts.filter { !$0.isEmpty }.joined(separator: ", ") + "."
        }
        return (boxes + [verdict]).joined(separator: " ")
    }
}
