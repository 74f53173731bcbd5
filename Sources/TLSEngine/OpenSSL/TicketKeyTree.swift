// Keys of epochs from one secret, of which the past can be forgotten. The epochs are the leaves of a
// binary tree, and every node's key is derived from its parent's. Who forgets the epochs before one
// keeps the keys of the subtrees right of it, 40 at most: all later leaves can be derived from them,
// and none of the earlier ones, whatever else is known.
//
//                root              To forget epochs 0...2 of these 8, root and a are taken apart,
//              a       b           and the keys of root, a, and of what holds 0, 1 and 2 go. What stays
//            .   .   .   .         is the key of 3, and that of b, which as a whole lies in the
//           0 1 2 3 4 5 6 7        future.

/// The keys of a secret's epochs, from the first that was not forgotten on.
struct TicketKeyTree {
    /// Levels below the root: epochs of a second would last for 34,000 years.
    static let depth = 40
    /// The first number that is no epoch's.
    static let end = Int64(1) << depth

    /// A subtree, whose first leaf is `first`.
    private struct Node {
        let first: Int64
        let level: Int
        let key: SecretBytes

        /// Behind its last leaf.
        var end: Int64 { first + Int64(1) << (TicketKeyTree.depth - level) }

        func child(_ side: Int) throws(TLSError) -> Node {
            Node(
                first: side == 0 ? first : first + Int64(1) << (TicketKeyTree.depth - level - 1),
                level: level + 1,
                key: try KeyDerivation.expand(key, side == 0 ? "left" : "right")
            )
        }
    }

    /// Subtrees without a gap from the first epoch on.
    private var nodes: [Node]

    /// Makes a tree whose epochs are all known.
    init(root: SecretBytes) {
        nodes = [Node(first: 0, level: 0, key: root)]
    }

    /// Subtrees that are kept.
    var nodeCount: Int { nodes.count }

    /// Forgets every epoch before one.
    mutating func forget(before epoch: Int64) throws(TLSError) {
        while let node = nodes.first, node.first < epoch {
            guard node.end > epoch else {
                nodes.removeFirst()
                continue
            }
            let children = [try node.child(0), try node.child(1)]
            nodes.replaceSubrange(0..<1, with: children)
        }
    }

    /// The key of an epoch; nil when it was forgotten, or there is none of this number.
    func key(of epoch: Int64) throws(TLSError) -> SecretBytes? {
        guard var node = nodes.first(where: { $0.first <= epoch && epoch < $0.end }) else {
            return nil
        }
        while node.level < TicketKeyTree.depth {
            let left = try node.child(0)
            node = epoch < left.end ? left : try node.child(1)
        }
        return node.key
    }
}
