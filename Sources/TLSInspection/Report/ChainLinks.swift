// What a chain looks like before it is drawn: boxes, and how each is joined to the next. A trusted chain is
// shown as it was verified, up to its anchor; any other as it was sent, with what is wrong at the place
// where it is wrong.

/// A chain as boxes and joints.
struct ChainLinks {
    /// One certificate, or what stands in the place of one.
    struct Box {
        var role: String
        /// The certificate; nil for what is not at hand.
        var certificate: CertificateReport?
        var title: String
        var detail: String
        /// What was found of it, in words.
        var verdict: (tone: Tone, words: String)?
        var tone: Tone
        /// Whether it was not sent.
        var isAbsent = false
    }

    /// How a box is joined to the one behind it.
    struct Joint {
        var tone: Tone
        var words: String
    }

    /// Boxes that are drawn at most.
    static let most = 10

    private(set) var boxes: [Box] = []
    /// The joint behind each box; nil where nothing joins them.
    private(set) var joints: [Joint?] = []

    /// Reads the chain of a report.
    init(_ report: InspectionReport) {
        guard !report.chain.isEmpty else { return }
        if let verify = report.verify, verify.trusted, !verify.path.isEmpty {
            addTrusted(report, verify)
        } else {
            addUntrusted(report)
        }
        let left = boxes.count - Self.most
        if left > 0 {
            boxes.removeLast(left + 1)
            joints.removeLast(left + 1)
            boxes.append(
                Box(role: "", title: "and \(left + 1) more", detail: "", tone: .plain)
            )
            joints.append(nil)
        }
        if !joints.isEmpty { joints[joints.count - 1] = nil }
    }

    private mutating func addTrusted(
        _ report: InspectionReport,
        _ verify: InspectionReport.Verdict
    ) {
        let source = verify.anchors == .given ? "the given roots" : "the system's roots"
        var shown: Set<Int> = []
        for (place, step) in verify.path.enumerated() {
            let isAnchor = place == verify.path.count - 1
            var box: Box
            switch step {
            case .sent(let index) where report.chain.indices.contains(index):
                shown.insert(index)
                box = Box(report.chain[index])
            case .root where verify.anchor != nil:
                box = Box(verify.anchor ?? report.chain[0])
                box.isAbsent = true
                box.role += ", not sent"
            case .sent, .root, .store:
                box = Box(
                    role: "intermediate, not sent",
                    title: "Another certificate",
                    detail: "from \(source)",
                    tone: .ok,
                    isAbsent: true
                )
            }
            box.tone = box.certificate?.lifeTone ?? .ok
            if isAnchor { box.verdict = (.ok, "trusted, by \(source)") }
            if place == 0, let name = report.nameVerdict {
                box.verdict = name
                if name.tone == .bad { box.tone = .bad }
            }
            boxes.append(box)
            joints.append(Joint(tone: .ok, words: "signed by"))
        }
        if let last = joints.indices.last { joints[last] = nil }
        for index in report.chain.indices where !shown.contains(index) {
            var box = Box(report.chain[index])
            box.tone = .plain
            box.verdict = (.plain, "sent, and not needed")
            boxes.append(box)
            joints.append(nil)
        }
    }

    private mutating func addUntrusted(_ report: InspectionReport) {
        let error = report.verify?.error
        for (place, certificate) in report.chain.enumerated() {
            var box = Box(certificate)
            box.tone = certificate.lifeTone
            if place == 0, let name = report.nameVerdict {
                box.verdict = name
                if name.tone == .bad { box.tone = .bad }
            }
            if error?.depth == place { box.tone = .bad }
            boxes.append(box)
            let next = place + 1 < report.chain.count ? report.chain[place + 1] : nil
            let isIssuer = next.map { $0.subject == certificate.issuer } ?? true
            joints.append(
                next == nil || !isIssuer
                    ? Joint(tone: .bad, words: isIssuer ? "leads to" : "other issuer")
                    : Joint(tone: .plain, words: "issued by")
            )
        }
        boxes.append(
            Box(
                role: "no anchor",
                title: "Not trusted",
                detail: error?.text ?? "the chain leads to no anchor",
                tone: .bad,
                isAbsent: true
            )
        )
        joints.append(nil)
    }
}

extension ChainLinks.Box {
    fileprivate init(_ certificate: CertificateReport) {
        self.certificate = certificate
        role =
            certificate.selfSigned && certificate.position == .leaf
            ? "leaf, signed itself" : certificate.position.rawValue
        let names = certificate.names
        title = certificate.position == .leaf ? names.joined(separator: ", ") : certificate.name
        detail = "\(certificate.keyWords), signed \(certificate.signature)"
        tone = .ok
    }
}

extension InspectionReport {
    /// Whether the leaf is for the name, in words; nil when there was no name.
    var nameVerdict: (tone: Tone, words: String)? {
        guard let verify, let name = verify.name else { return nil }
        guard let match = verify.nameMatch else { return (.bad, "not for \(name)") }
        return (.ok, match == name ? "for \(name)" : "for \(name), by \(match)")
    }
}
