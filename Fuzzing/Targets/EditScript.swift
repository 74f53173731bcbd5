// Alters bytes as a script says: anywhere, or along the elements of DER, so that what comes out is
// still well-formed and reaches the code behind the parser.

extension [UInt8] {
    /// Takes one edit off the script and does it.
    mutating func edit(_ script: inout ScriptReader) {
        let kind = script.byte()
        let place = script.word()
        switch kind % 8 {
        case 0 where !isEmpty: self[place % count] ^= Swift.max(script.byte(), 1)
        case 1:
            let block = script.block()
            let start = place % (count + 1)
            replaceSubrange(start..<Swift.min(start + block.count, count), with: block)
        case 2: insert(contentsOf: script.block(), at: place % (count + 1))
        case 3:
            let start = place % (count + 1)
            removeSubrange(start..<Swift.min(start + Int(script.byte()), count))
        default: editElement(kind % 8, place, &script)
        }
    }

    private mutating func editElement(_ kind: UInt8, _ place: Int, _ script: inout ScriptReader) {
        guard var tree = DERElement.elements(of: self[...]) else { return }
        let count = tree.reduce(0) { $0 + $1.size }
        guard count > 0 else { return }
        var index = place % count
        tree = DERElement.editing(tree, &index) { element in
            switch kind {
            case 4:
                element.children = nil
                element.content = script.block()
                return [element]
            case 5:
                element.tag = script.byte()
                return [element]
            case 6: return []
            default: return [element, element]
            }
        }
        self = tree.flatMap(\.bytes)
    }
}

/// One element of DER (X.690 §8.1): tags and lengths of one and up to four bytes.
struct DERElement {
    var tag: UInt8
    var content: [UInt8]
    var children: [DERElement]?

    /// All elements of some bytes; nil when they are none.
    static func elements(of bytes: ArraySlice<UInt8>, depth: Int = 0) -> [DERElement]? {
        var rest = bytes
        var elements: [DERElement] = []
        while let tag = rest.popFirst() {
            guard var length = rest.popFirst().map(Int.init), depth < 32 else { return nil }
            if length > 0x80 {
                guard length < 0x84, rest.count >= length - 0x80 else { return nil }
                let digits = length - 0x80
                length = rest.prefix(digits).reduce(0) { $0 << 8 | Int($1) }
                rest = rest.dropFirst(digits)
            }
            guard rest.count >= length else { return nil }
            let content = rest.prefix(length)
            rest = rest.dropFirst(length)
            // An octet string often holds DER: extensions and keys do.
            let holds = tag & 0x20 != 0 || tag == 0x04 && content.count > 1
            let children = holds ? DERElement.elements(of: content, depth: depth + 1) : nil
            elements.append(
                DERElement(tag: tag, content: Array(content), children: children)
            )
        }
        return elements
    }

    var size: Int { (children ?? []).reduce(1) { $0 + $1.size } }

    var bytes: [UInt8] {
        let content = children.map { $0.flatMap(\.bytes) } ?? content
        let low = UInt8(content.count & 0xff)
        let length: [UInt8] =
            switch content.count {
            case ...0x7f: [low]
            case ...0xff: [0x81, low]
            default: [0x82, UInt8(content.count >> 8 & 0xff), low]
            }
        return [tag] + length + content
    }

    /// Replaces the element of this number, counted from the front, parents first.
    static func editing(
        _ elements: [DERElement],
        _ index: inout Int,
        _ edit: (inout DERElement) -> [DERElement]
    ) -> [DERElement] {
        elements.flatMap { element in
            var element = element
            index -= 1
            if index == -1 { return edit(&element) }
            if let children = element.children {
                element.children = editing(children, &index, edit)
            }
            return [element]
        }
    }
}
