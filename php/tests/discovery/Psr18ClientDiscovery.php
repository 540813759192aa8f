<?php

declare(strict_types=1);

namespace Http\Discovery;

use GuzzleHttp\Client;
use Psr\Http\Client\ClientInterface;

/** Stands in for the class of php-http/discovery, which is not a Debian package. */
final class Psr18ClientDiscovery
{
    public static function find(): ClientInterface
    {
        return new Client();
    }
}
