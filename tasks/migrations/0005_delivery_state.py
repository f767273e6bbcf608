from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0004_withdrawn'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_unfinished',
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['state', 'due_at'], name='delivery_state'),
        ),
    ]
