<?php

declare(strict_types=1);

namespace Snug;

use JsonSerializable;

/** A message to publish. */
final class Draft implements JsonSerializable
{
    /**
     * @param mixed           $data  anything that JSON has
     * @param string|null     $event its kind, for the application: at most 64 bytes
     * @param string|null     $key   1 to 64 bytes: again under the same key by the same user, it is stored once
     * @param int|string|null $user  who says it: by default the user that the back end is
     */
    public function __construct(
        public readonly mixed $data,
        public readonly ?string $event = null,
        public readonly ?string $key = null,
        public readonly int|string|null $user = null,
    ) {
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        $user = $this->user === null ? null : (string) $this->user;
        $fields = ['event' => $this->event, 'key' => $this->key, 'user' => $user];
        return ['data' => $this->data] + array_filter($fields, static fn (?string $field): bool => $field !== null);
    }
}
