<?php

declare(strict_types=1);

namespace Snug;

use JsonSerializable;

/** A message to publish. */
final class NewMessage implements JsonSerializable
{
    /**
     * @param mixed           $data  Any value that can be encoded as JSON.
     * @param string|null     $event An event name that your application chooses, at most 64 bytes.
     * @param string|null     $key   An idempotency key of 1 to 64 bytes: Snug stores a user's message with a given key
     *                               only once.
     * @param int|string|null $user  The author's user id. Default: the `$user` of the `Snug` client.
     * @param int|null        $time  The time in Unix milliseconds, not before that of the room's newest message.
     *                               Default: now.
     * @param int|null        $re    The offset of the message to which this one is a reply.
     * @param list<int|string> $mentions The ids of the users whom the message mentions, at most 32.
     */
    public function __construct(
        public readonly mixed $data,
        public readonly ?string $event = null,
        public readonly ?string $key = null,
        public readonly int|string|null $user = null,
        public readonly ?int $time = null,
        public readonly ?int $re = null,
        public readonly array $mentions = [],
    ) {
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        $user = $this->user === null ? null : (string) $this->user;
        $fields = ['event' => $this->event, 'key' => $this->key, 'user' => $user];
        $fields += ['time' => $this->time, 're' => $this->re];
        $fields += ['mentions' => array_map('strval', array_values($this->mentions)) ?: null];
        return ['data' => $this->data] + array_filter($fields, static fn (mixed $field): bool => $field !== null);
    }
}
