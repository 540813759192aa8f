<?php

declare(strict_types=1);

use Illuminate\Auth\GenericUser;
use Illuminate\Support\Facades\Broadcast;

Broadcast::channel('orders.{owner}', static fn (GenericUser $user, string $owner): bool => $user->id === $owner);

Broadcast::channel('chat.{room}', static fn (GenericUser $user): array => ['id' => $user->id, 'name' => $user->name]);

// Every user is in the team until it is dissolved.
Broadcast::channel('team', static fn (): bool => !file_exists(getenv('APP_DATA') . '/dissolved'));
