<?php

declare(strict_types=1);

namespace Snug;

/** A permission that a token grants in a room. */
enum Capability: string
{
    /** Receive messages and signals. */
    case Receive = 'receive';
    /** Publish messages. */
    case Publish = 'publish';
    /** Send signals, such as "is typing". */
    case Signal = 'signal';
    /** See the members and their presence state, and set your own. */
    case Presence = 'presence';
    /** Read stored messages. */
    case History = 'history';
    /** Edit one's own messages, and append to them. */
    case Edit = 'edit';
    /** Delete one's own messages. */
    case Delete = 'delete';
    /** Edit the messages of all users. */
    case EditAny = 'edit_any';
    /** Delete the messages of all users. */
    case DeleteAny = 'delete_any';
    /** React to messages. */
    case React = 'react';
    /** See how far the members have read. */
    case Receipts = 'receipts';
    /** Kick and ban users. */
    case Moderate = 'moderate';
    /** Full server access, for back ends: publish as any user, delete rooms. Never give it to a browser. */
    case Serve = 'serve';
}
