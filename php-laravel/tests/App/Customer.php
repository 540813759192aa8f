<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

/** A customer of the test application, who is notified on a private channel. */
final class Customer
{
    public function __construct(private string $channel)
    {
    }

    public function receivesBroadcastNotificationsOn(): string
    {
        return $this->channel;
    }

    public function routeNotificationFor(): mixed
    {
        return null;
    }

    public function getKey(): int
    {
        return 1;
    }
}
